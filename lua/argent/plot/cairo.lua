-- The libraries that pictures are drawn with: cairo draws, pango lays out text in any script.

local ffi = require 'ffi'
local library = require 'argent.library'

-- busted loads modules again while ffi.cdef is permanent.
if not pcall(ffi.typeof, 'struct argent_cairo') then
  ffi.cdef [[
    struct argent_cairo;
    struct argent_surface;
    struct argent_font_options;
    struct argent_layout;
    struct argent_context;
    struct argent_font;
    struct argent_extents { int x, y, width, height; };
    typedef int (*argent_sink)(void *closure, const unsigned char *bytes, unsigned int size);

    struct argent_surface *cairo_image_surface_create(int format, int width, int height);
    unsigned char *cairo_image_surface_get_data(struct argent_surface *s);
    int cairo_image_surface_get_stride(struct argent_surface *s);
    int cairo_surface_status(struct argent_surface *s);
    void cairo_surface_flush(struct argent_surface *s);
    void cairo_surface_mark_dirty(struct argent_surface *s);
    void cairo_surface_destroy(struct argent_surface *s);
    int cairo_surface_write_to_png_stream(struct argent_surface *s, argent_sink sink,
                                          void *closure);

    struct argent_cairo *cairo_create(struct argent_surface *s);
    void cairo_destroy(struct argent_cairo *c);
    void cairo_save(struct argent_cairo *c);
    void cairo_restore(struct argent_cairo *c);
    void cairo_set_source_rgb(struct argent_cairo *c, double red, double green, double blue);
    void cairo_rectangle(struct argent_cairo *c, double x, double y, double width, double height);
    void cairo_fill(struct argent_cairo *c);
    void cairo_clip(struct argent_cairo *c);
    void cairo_move_to(struct argent_cairo *c, double x, double y);
    void cairo_line_to(struct argent_cairo *c, double x, double y);
    void cairo_stroke(struct argent_cairo *c);
    void cairo_set_line_width(struct argent_cairo *c, double width);
    void cairo_set_line_cap(struct argent_cairo *c, int cap);
    void cairo_set_line_join(struct argent_cairo *c, int join);
    void cairo_set_dash(struct argent_cairo *c, const double *lengths, int count, double offset);
    void cairo_translate(struct argent_cairo *c, double x, double y);
    void cairo_rotate(struct argent_cairo *c, double angle);

    struct argent_font_options *cairo_font_options_create(void);
    void cairo_font_options_destroy(struct argent_font_options *o);
    void cairo_font_options_set_antialias(struct argent_font_options *o, int antialias);
    void cairo_font_options_set_hint_style(struct argent_font_options *o, int style);
    void cairo_font_options_set_hint_metrics(struct argent_font_options *o, int metrics);

    struct argent_layout *pango_cairo_create_layout(struct argent_cairo *c);
    void pango_cairo_show_layout(struct argent_cairo *c, struct argent_layout *l);
    void pango_cairo_context_set_font_options(struct argent_context *c,
                                              const struct argent_font_options *o);
    struct argent_context *pango_layout_get_context(struct argent_layout *l);
    struct argent_font *pango_font_description_from_string(const char *text);
    void pango_font_description_set_absolute_size(struct argent_font *f, double size);
    void pango_layout_set_font_description(struct argent_layout *l, const struct argent_font *f);
    void pango_layout_set_single_paragraph_mode(struct argent_layout *l, int yes);
    void pango_layout_set_ellipsize(struct argent_layout *l, int where);
    void pango_layout_set_width(struct argent_layout *l, int width);
    void pango_layout_set_text(struct argent_layout *l, const char *text, int size);
    void pango_layout_get_pixel_extents(struct argent_layout *l, struct argent_extents *ink,
                                        struct argent_extents *logical);
    int pango_layout_get_baseline(struct argent_layout *l);
    int pango_layout_get_unknown_glyphs_count(struct argent_layout *l);
    void pango_font_description_free(struct argent_font *f);
    void g_object_unref(void *object);
    char *g_utf8_make_valid(const char *text, ptrdiff_t size);
    void g_free(void *p);

    void *dlopen(const char *file, int flags);
  ]]
end

local M = {}

local RTLD_NOW, RTLD_NODELETE = 2, 0x1000

--- The libraries, opened at the first call: all by the one that needs the others.
---@return ffi.namespace*?
---@return string? err
---@return string? code 'unsupported'
function M.open()
  if M.opened then return M.opened end
  local lib, err, code = library.open({'libpangocairo-1.0.so.0'},
    'pictures need cairo and pango: apt install libpangocairo-1.0-0')
  if not lib then return nil, err, code end
  -- They leave types and per-thread data with the process, and so must never be unloaded.
  ffi.C.dlopen('libpangocairo-1.0.so.0', RTLD_NOW + RTLD_NODELETE)
  M.opened = lib
  return lib
end

return M
