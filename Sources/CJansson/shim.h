#pragma once
#include <jansson.h>

// What jansson has as macros.
static inline json_type lgw_json_type(const json_t *value) { return json_typeof(value); }
static const size_t lgw_json_decode_any = JSON_DECODE_ANY;
static const size_t lgw_json_allow_nul = JSON_ALLOW_NUL;
static const size_t lgw_json_integers_as_reals = JSON_DECODE_INT_AS_REAL;
