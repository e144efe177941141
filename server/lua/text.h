#ifndef COROD_SERVER_LUA_TEXT_H_
#define COROD_SERVER_LUA_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "server/lua/lua_api.h"

// What the libraries of texts have in common. All of it is charged.
namespace corod::lua {

// As tostring does: by __tostring, by __name, and otherwise as PushText (libraries.h).
void PushShownText(lua_State* state, int index);

// Arguments, as luaL_check... and luaL_opt... take them. Those may be strings where numbers are wanted, and numbers
// where strings are, which are replaced by their texts.
std::string_view CheckText(lua_State* state, int argument);
lua_Integer CheckInteger(lua_State* state, int argument);
lua_Integer OptionalInteger(lua_State* state, int argument, lua_Integer otherwise);
lua_Number CheckNumber(lua_State* state, int argument);
// 0 if it is none.
lua_Integer ToInteger(lua_State* state, int argument);

// Pushes a copy of a part of a text.
void PushBytes(lua_State* state, std::string_view bytes);

// Makes room on the stack for so many results, or raises Lua's error for a slice of a string that is too long.
void ReserveSlice(lua_State* state, std::size_t results);

// A text that is put together. Writing to it is charged when it grows.
class TextBuffer {
 public:
  explicit TextBuffer(lua_State* state) : state_(state) {}

  void Reserve(std::size_t bytes) {
    if (bytes > room_ - text_.size()) Grow(bytes);
  }
  void Append(std::string_view bytes) {
    Reserve(bytes.size());
    text_.append(bytes);
  }
  void Append(std::size_t count, char c) {
    Reserve(count);
    text_.append(count, c);
  }

  void Push() const { PushBytes(state_, text_); }

 private:
  void Grow(std::size_t bytes);

  lua_State* const state_;
  std::string text_;
  std::size_t room_ = 0;  // that is charged
};

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_TEXT_H_
