#ifndef COROD_SERVER_AUTH_JSON_H_
#define COROD_SERVER_AUTH_JSON_H_

#include <jansson.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace corod {

struct JsonDeleter {
  void operator()(json_t* json) const { json_decref(json); }
};
using Json = std::unique_ptr<json_t, JsonDeleter>;

// The object that `text` is; null if it is none, if a key stands twice in it, or a text holds a zero. `place`, if not
// null, is where the first fault is ("line 3, column 5"). None of the library's own messages, which repeat the text.
Json ParseJsonObject(std::string_view text, std::string* place = nullptr);

// The text at `key`; nothing if there is none, or something else.
std::optional<std::string_view> TextAt(const json_t* object, const char* key);

}  // namespace corod

#endif  // COROD_SERVER_AUTH_JSON_H_
