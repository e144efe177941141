#include "server/auth/json.h"

namespace corod {

Json ParseJsonObject(std::string_view text, std::string* place) {
  json_error_t error{};
  Json parsed(json_loadb(text.data(), text.size(), JSON_REJECT_DUPLICATES, &error));
  if (parsed && json_is_object(parsed.get())) return parsed;
  if (place) {
    *place =
        parsed ? "line 1, column 1" : "line " + std::to_string(error.line) + ", column " + std::to_string(error.column);
  }
  return nullptr;
}

std::optional<std::string_view> TextAt(const json_t* object, const char* key) {
  const json_t* const found = json_object_get(object, key);
  if (!json_is_string(found)) return std::nullopt;
  return std::string_view(json_string_value(found), json_string_length(found));
}

}  // namespace corod
