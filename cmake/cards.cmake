# The cards that a CUDA toolkit can build for.

# The version of the toolkit that this nvcc is of, as 12.4; empty where it does not say.
function(argent_toolkit nvcc out)
  execute_process(COMMAND ${nvcc} --version OUTPUT_VARIABLE said ERROR_QUIET)
  string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" said "${said}")
  set(${out} "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()

# What CMAKE_CUDA_ARCHITECTURES is by default: every generation that the toolkit knows, the last one
# with PTX for cards to come; empty where the toolkit is too old for the kernels. Code for sm_100
# and sm_120 runs on sm_103 and sm_121, too; the sm_110 of CUDA 13 has another name in 12.
function(argent_cards version out)
  set(cards 80 86 89 90)
  if(version VERSION_LESS 12.0)
    set(cards)
  endif()
  if(version VERSION_GREATER_EQUAL 12.8)
    list(APPEND cards 100)
  endif()
  if(version VERSION_GREATER_EQUAL 13.0)
    list(APPEND cards 110)
  endif()
  if(version VERSION_GREATER_EQUAL 12.8)
    list(APPEND cards 120)
  endif()
  list(TRANSFORM cards APPEND -real)
  string(REGEX REPLACE "-real$" "" cards "${cards}")
  set(${out} "${cards}" PARENT_SCOPE)
endfunction()

# cmake -DVERSION=12.4 -P cards.cmake prints them.
if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  argent_cards("${VERSION}" cards)
  message("${cards}")
endif()
