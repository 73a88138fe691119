std = 'luajit'
max_line_length = 100
exclude_files = {'build*/**'}
files['spec'] = {std = '+busted', read_globals = {'ARGENT_ROOT'}}
files['spec/support/helper.lua'] = {globals = {'ARGENT_ROOT'}}
