#include "server/catalog/builtin/smtp_address.h"

#include <algorithm>

namespace corod::builtin {
namespace {

constexpr std::size_t kMaxLocalPart = 64;
constexpr std::size_t kMaxDomain = 255;

bool IsAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
bool IsAtomCharacter(char c) {
  return IsAlphanumeric(c) || (c != '\0' && std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos);
}
bool IsPrintable(char c) { return c >= 0x20 && c <= 0x7e; }

// Each of the parts between `separator`s, of which there is one at least.
template <typename F>
bool EachPart(std::string_view text, char separator, const F& holds) {
  while (true) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (!holds(text.substr(0, end))) return false;
    if (end == text.size()) return true;
    text.remove_prefix(end + 1);
  }
}

bool IsAtom(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), IsAtomCharacter); }

bool IsLabel(std::string_view text) {
  return !text.empty() && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsAlphanumeric(c) || c == '-'; });
}

bool IsName(std::string_view text) { return text.size() <= kMaxDomain && EachPart(text, '.', IsLabel); }

bool IsAddressLiteral(std::string_view text) {
  if (text.size() < 3 || text.size() > kMaxDomain || text.front() != '[' || text.back() != ']') return false;
  text = text.substr(1, text.size() - 2);
  return std::all_of(text.begin(), text.end(), [](char c) {
    return IsPrintable(c) && std::string_view(" []\\>").find(c) == std::string_view::npos;
  });
}

// The length of the quoted string that `text` begins with; 0: there is none.
std::size_t QuotedSize(std::string_view text) {
  if (!text.starts_with('"')) return 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1;
    if (text[i] == '\\') ++i;
    if (i == text.size() || !IsPrintable(text[i])) return 0;
  }
  return 0;
}

bool IsLocalPart(std::string_view text) {
  if (text.size() > kMaxLocalPart) return false;
  if (text.starts_with('"')) return QuotedSize(text) == text.size();
  return EachPart(text, '.', IsAtom);
}

// "<" [ "@a,@b:" ] address ">"; sets `rest` to what follows.
std::optional<std::string> ParsePath(std::string_view text, std::string_view& rest) {
  if (!text.starts_with('<')) return std::nullopt;
  text.remove_prefix(1);
  if (text.starts_with('@')) {
    const std::size_t end = text.find(':');
    const auto is_hop = [](std::string_view hop) { return hop.starts_with('@') && IsName(hop.substr(1)); };
    if (end == std::string_view::npos || !EachPart(text.substr(0, end), ',', is_hop)) return std::nullopt;
    text.remove_prefix(end + 1);
    if (text.starts_with('>')) return std::nullopt;
  }
  const std::size_t end = text.find('>', QuotedSize(text));
  if (end == std::string_view::npos) return std::nullopt;
  rest = text.substr(end + 1);
  return std::string(text.substr(0, end));
}

bool IsAddress(std::string_view text) {
  const std::size_t at = text.find('@', QuotedSize(text));
  if (at == std::string_view::npos) {
    return std::equal(text.begin(), text.end(), std::string_view("postmaster").begin(),
                      std::string_view("postmaster").end(), [](char a, char b) { return (a | 0x20) == b; });
  }
  return IsLocalPart(text.substr(0, at)) && IsSmtpDomain(text.substr(at + 1));
}

}  // namespace

bool IsSmtpDomain(std::string_view text) { return IsName(text) || IsAddressLiteral(text); }

std::optional<SmtpPath> ParseSmtpPath(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::string_view rest;
  std::optional<std::string> address = ParsePath(text, rest);
  if (!address || (!address->empty() && !IsAddress(*address))) return std::nullopt;
  if (!rest.empty() && rest[0] != ' ') return std::nullopt;
  SmtpPath path{.address = *std::move(address), .parameters = {}};
  while (true) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    if (rest.empty()) return path;
    const std::size_t end = std::min(rest.find(' '), rest.size());
    path.parameters.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end);
  }
}

}  // namespace corod::builtin
