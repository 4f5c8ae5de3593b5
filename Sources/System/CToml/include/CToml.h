/* toml++ behind one C function: a document in, JSON out. */
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Reads `length` bytes of TOML and answers with JSON:
 *   {"keys":[{"name":"workers","kind":"integer","integer":4,"line":3,"column":1},...]}
 * one element for each top-level key; `kind` is one of string, integer, float, boolean, table, other, and the
 * value stands under the kind's own name (other: arrays, dates, and floats that are not finite: no value). The
 * keys of a table stand as such an array under `keys`; tables within it are of kind other.
 * Lines and columns count from 1. Or, where it is no TOML:
 *   {"error":{"message":"...","line":3,"column":9}}
 * The text is the caller's, to be given back to ctoml_free. NULL: no memory.
 */
char *ctoml_parse(const char *text, size_t length);

void ctoml_free(char *json);

#ifdef __cplusplus
}
#endif
