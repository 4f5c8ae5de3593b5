// The functions of CToml.h: the answer is made of the text alone and belongs to the caller, and no state is kept.
#include "CToml.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include <toml++/toml.h>

static std::string quoted(std::string_view text)
{
	std::string out = "\"";
	for (char c : text) {
		char escape[8];
		if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\') {
			std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
			out += escape;
		} else {
			out += c;
		}
	}
	return out + "\"";
}

static std::string placed(const toml::source_position &at)
{
	return ",\"line\":" + std::to_string(at.line) + ",\"column\":" + std::to_string(at.column) + "}";
}

static std::string value_of(const toml::node &node)
{
	char number[64];
	if (auto text = node.as_string())
		return "\"string\",\"string\":" + quoted(text->get());
	if (auto flag = node.as_boolean())
		return std::string("\"boolean\",\"boolean\":") + (flag->get() ? "true" : "false");
	if (auto whole = node.as_integer())
		return "\"integer\",\"integer\":" + std::to_string(whole->get());
	if (auto real = node.as_floating_point(); real && std::isfinite(real->get())) {
		std::snprintf(number, sizeof number, "%.17g", real->get());
		return std::string("\"float\",\"float\":") + number;
	}
	return "\"other\"";
}

/* A key of a table has a value, never a table of its own: a document may nest deeper than a stack is. */
static std::string keys_of(const toml::table &table, bool is_top)
{
	std::string json;
	for (const auto &[key, value] : table) {
		const toml::table *inner = is_top ? value.as_table() : nullptr;
		json += (json.empty() ? "" : ",") + ("{\"name\":" + quoted(key.str())) + ",\"kind\":" +
			(inner ? "\"table\",\"keys\":" + keys_of(*inner, false) : value_of(value)) + placed(key.source().begin);
	}
	return "[" + json + "]";
}

static std::string converted(std::string_view text)
{
	try {
		return "{\"keys\":" + keys_of(toml::parse(text), true) + "}";
	} catch (const toml::parse_error &error) {
		return "{\"error\":{\"message\":" + quoted(error.description()) +
		       placed(error.source().begin) + "}";
	}
}

/* No exception crosses into Swift, which could not unwind it. */
char *ctoml_parse(const char *text, size_t length)
{
	try {
		return strdup(converted(std::string_view(text, length)).c_str());
	} catch (...) {
		return nullptr;
	}
}

void ctoml_free(char *json)
{
	std::free(json);
}
