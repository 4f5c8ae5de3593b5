/*
 * Each file of assets/ and its row. The compiler notes what it embeds among its dependencies, so that an edit of an
 * asset builds this anew.
 */
#include "page.h"

#include <string.h>

/* #embed is newer than clang-format. */
/* clang-format off */
static const unsigned char api_js[] = {
#embed "assets/api.js"
};
static const unsigned char base_css[] = {
#embed "assets/base.css"
};
static const unsigned char cache_js[] = {
#embed "assets/cache.js"
};
static const unsigned char dom_js[] = {
#embed "assets/dom.js"
};
static const unsigned char engine_css[] = {
#embed "assets/engine.css"
};
static const unsigned char events_js[] = {
#embed "assets/events.js"
};
static const unsigned char firstrun_js[] = {
#embed "assets/firstrun.js"
};
static const unsigned char head_js[] = {
#embed "assets/head.js"
};
static const unsigned char heat_js[] = {
#embed "assets/heat.js"
};
static const unsigned char icon_svg[] = {
#embed "assets/icon.svg"
};
static const unsigned char index_html[] = {
#embed "assets/index.html"
};
static const unsigned char jobs_js[] = {
#embed "assets/jobs.js"
};
static const unsigned char layout_css[] = {
#embed "assets/layout.css"
};
static const unsigned char lost_js[] = {
#embed "assets/lost.js"
};
static const unsigned char main_js[] = {
#embed "assets/main.js"
};
static const unsigned char map_js[] = {
#embed "assets/map.js"
};
static const unsigned char milestones_js[] = {
#embed "assets/milestones.js"
};
static const unsigned char orders_js[] = {
#embed "assets/orders.js"
};
static const unsigned char outputs_js[] = {
#embed "assets/outputs.js"
};
static const unsigned char pick_css[] = {
#embed "assets/pick.css"
};
static const unsigned char say_js[] = {
#embed "assets/say.js"
};
static const unsigned char signed_in_html[] = {
#embed "assets/signed-in.html"
};
static const unsigned char signed_out_css[] = {
#embed "assets/signed-out.css"
};
static const unsigned char signed_out_html[] = {
#embed "assets/signed-out.html"
};
static const unsigned char spark_js[] = {
#embed "assets/spark.js"
};
static const unsigned char stage_js[] = {
#embed "assets/stage.js"
};
static const unsigned char tile_js[] = {
#embed "assets/tile.js"
};
static const unsigned char tiles_css[] = {
#embed "assets/tiles.css"
};
static const unsigned char tiles_js[] = {
#embed "assets/tiles.js"
};
static const unsigned char words_js[] = {
#embed "assets/words.js"
};
/* clang-format on */

#define HTML "text/html; charset=utf-8"
#define CSS  "text/css; charset=utf-8"
#define JS   "text/javascript; charset=utf-8"
#define SVG  "image/svg+xml"

static const struct fsmvp_page_file files[] = {
    {"/assets/api.js", JS, api_js, sizeof(api_js), false},
    {"/assets/base.css", CSS, base_css, sizeof(base_css), false},
    {"/assets/cache.js", JS, cache_js, sizeof(cache_js), false},
    {"/assets/dom.js", JS, dom_js, sizeof(dom_js), false},
    {"/assets/engine.css", CSS, engine_css, sizeof(engine_css), false},
    {"/assets/events.js", JS, events_js, sizeof(events_js), false},
    {"/assets/firstrun.js", JS, firstrun_js, sizeof(firstrun_js), false},
    {"/assets/head.js", JS, head_js, sizeof(head_js), false},
    {"/assets/heat.js", JS, heat_js, sizeof(heat_js), false},
    {"/assets/icon.svg", SVG, icon_svg, sizeof(icon_svg), false},
    {"/", HTML, index_html, sizeof(index_html), false},
    {"/assets/jobs.js", JS, jobs_js, sizeof(jobs_js), false},
    {"/assets/layout.css", CSS, layout_css, sizeof(layout_css), false},
    {"/assets/lost.js", JS, lost_js, sizeof(lost_js), false},
    {"/assets/main.js", JS, main_js, sizeof(main_js), false},
    {"/assets/map.js", JS, map_js, sizeof(map_js), false},
    {"/assets/milestones.js", JS, milestones_js, sizeof(milestones_js), false},
    {"/assets/orders.js", JS, orders_js, sizeof(orders_js), false},
    {"/assets/outputs.js", JS, outputs_js, sizeof(outputs_js), false},
    {"/assets/pick.css", CSS, pick_css, sizeof(pick_css), false},
    {"/assets/say.js", JS, say_js, sizeof(say_js), false},
    {"signed-in.html", HTML, signed_in_html, sizeof(signed_in_html), false},
    {"/assets/signed-out.css", CSS, signed_out_css, sizeof(signed_out_css), true},
    {"signed-out.html", HTML, signed_out_html, sizeof(signed_out_html), false},
    {"/assets/spark.js", JS, spark_js, sizeof(spark_js), false},
    {"/assets/stage.js", JS, stage_js, sizeof(stage_js), false},
    {"/assets/tile.js", JS, tile_js, sizeof(tile_js), false},
    {"/assets/tiles.css", CSS, tiles_css, sizeof(tiles_css), false},
    {"/assets/tiles.js", JS, tiles_js, sizeof(tiles_js), false},
    {"/assets/words.js", JS, words_js, sizeof(words_js), false},
};

static const size_t count = sizeof(files) / sizeof(files[0]);

size_t fsmvp_page_count(void)
{
	return count;
}

const struct fsmvp_page_file *fsmvp_page_at(size_t index)
{
	return index < count ? &files[index] : NULL;
}

const struct fsmvp_page_file *fsmvp_page_find(const char *path)
{
	for (size_t index = 0; index < count; index++) {
		if (!strcmp(files[index].path, path))
			return &files[index];
	}
	return NULL;
}
