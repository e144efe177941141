#ifndef COROD_SERVER_LUA_CHARACTERS_H_
#define COROD_SERVER_LUA_CHARACTERS_H_

// What <cctype> says in the C locale, whatever the locale is.
namespace corod::lua {

constexpr bool IsUpper(unsigned char c) { return c >= 'A' && c <= 'Z'; }
constexpr bool IsLower(unsigned char c) { return c >= 'a' && c <= 'z'; }
constexpr bool IsLetter(unsigned char c) { return IsUpper(c) || IsLower(c); }
constexpr bool IsDigit(unsigned char c) { return c >= '0' && c <= '9'; }
constexpr bool IsHexadecimal(unsigned char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
constexpr bool IsSpace(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr bool IsControl(unsigned char c) { return c < ' ' || c == 0x7f; }
constexpr bool IsGraphic(unsigned char c) { return c > ' ' && c < 0x7f; }
constexpr bool IsPunctuation(unsigned char c) { return IsGraphic(c) && !IsLetter(c) && !IsDigit(c); }

constexpr unsigned char ToLower(unsigned char c) { return static_cast<unsigned char>(IsUpper(c) ? c - 'A' + 'a' : c); }
constexpr unsigned char ToUpper(unsigned char c) { return static_cast<unsigned char>(IsLower(c) ? c - 'a' + 'A' : c); }

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_CHARACTERS_H_
