#include "server/lua/patterns.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "server/lua/characters.h"

namespace corod::lua {
namespace {

// Matches within matches, each on the native stack.
constexpr int kMaxDepth = 200;

// FindPlain looks at so many bytes first.
constexpr std::size_t kFirstWindow = 64;
// Once its first byte is found. Not as many as are copied in a step: a part that comes close everywhere takes longer.
constexpr std::size_t kComparedPerStep = 4;

// %a and the like; of a letter in upper case the complement. What names no class is itself.
bool InClass(unsigned char c, unsigned char name) {
  bool in = false;
  switch (ToLower(name)) {
    case 'a':
      in = IsLetter(c);
      break;
    case 'c':
      in = IsControl(c);
      break;
    case 'd':
      in = IsDigit(c);
      break;
    case 'g':
      in = IsGraphic(c);
      break;
    case 'l':
      in = IsLower(c);
      break;
    case 'p':
      in = IsPunctuation(c);
      break;
    case 's':
      in = IsSpace(c);
      break;
    case 'u':
      in = IsUpper(c);
      break;
    case 'w':
      in = IsLetter(c) || IsDigit(c);
      break;
    case 'x':
      in = IsHexadecimal(c);
      break;
    case 'z':  // of older versions, and still there
      in = c == '\0';
      break;
    default:
      return name == c;
  }
  return in != IsUpper(name);
}

std::string NoCapture(int index) { return "invalid capture index %" + std::to_string(index + 1); }

}  // namespace

bool Matcher::Find(std::size_t from, bool only_there, std::size_t barred) {
  bool found = false;
  for (std::size_t at = from; !found && at <= text_.size() && (at == from || !only_there); ++at) {
    captures_ = 0;
    depth_ = 0;
    start_ = at;
    end_ = Match(at, 0);
    found = end_ != kNowhere && end_ != barred;
  }
  Pay();
  return found;
}

Matcher::Captured Matcher::Capture(int index) const {
  if (captures_ == 0 && index == 0) return {.text = match()};
  if (index < 0 || index >= captures_) host_.Fail(NoCapture(index));
  const Range& range = ranges_[static_cast<std::size_t>(index)];
  if (range.length == kOpen) host_.Fail("unfinished capture");
  if (range.length == kPosition) return {.position = range.start + 1};
  return {.text = text_.substr(range.start, range.length)};
}

std::size_t Matcher::Match(std::size_t at, std::size_t item) {
  if (depth_ == kMaxDepth) Fail("pattern too complex");
  ++depth_;
  const std::size_t end = MatchItems(at, item);
  --depth_;
  return end;
}

std::size_t Matcher::MatchItems(std::size_t at, std::size_t item) {
  Step();
  while (item < pattern_.size()) {
    Step();
    switch (pattern_[item]) {
      case '(':
        return PatternAt(item + 1) == ')' ? OpenCapture(at, item + 2, kPosition) : OpenCapture(at, item + 1, kOpen);
      case ')':
        return CloseCapture(at, item + 1);
      case '$':
        if (item + 1 == pattern_.size()) return at == text_.size() ? at : kNowhere;
        break;
      case '%': {
        const unsigned char kind = PatternAt(item + 1);
        if (kind == 'b') {
          at = SkipBalanced(at, item + 2);
          item += 4;
        } else if (kind == 'f') {
          if (PatternAt(item + 2) != '[') Fail("missing '[' after '%f' in pattern");
          const std::size_t after = EndOfItem(item + 2);
          if (!AtFrontier(at, item + 2, after)) return kNowhere;
          item = after;
        } else if (IsDigit(kind)) {
          at = SkipRepeated(at, kind);
          item += 2;
        } else {
          break;
        }
        if (at == kNowhere) return kNowhere;
        continue;
      }
      default:
        break;
    }

    const std::size_t after = EndOfItem(item);
    const unsigned char quantifier = PatternAt(after);
    if (!MatchesOne(at, item, after)) {
      if (quantifier != '*' && quantifier != '?' && quantifier != '-') return kNowhere;
      item = after + 1;
      continue;
    }
    switch (quantifier) {
      case '*':
        return MatchLongest(at, item, after);
      case '+':
        return MatchLongest(at + 1, item, after);
      case '-':
        return MatchShortest(at, item, after);
      case '?': {
        const std::size_t end = Match(at + 1, after + 1);
        if (end != kNowhere) return end;
        item = after + 1;
        break;
      }
      default:
        ++at;
        item = after;
    }
  }
  return at;
}

std::size_t Matcher::OpenCapture(std::size_t at, std::size_t item, std::size_t length) {
  if (captures_ == kMaxCaptures) Fail("too many captures");
  ranges_[static_cast<std::size_t>(captures_)] = {.start = at, .length = length};
  ++captures_;
  const std::size_t end = Match(at, item);
  if (end == kNowhere) --captures_;
  return end;
}

std::size_t Matcher::CloseCapture(std::size_t at, std::size_t item) {
  int open = captures_ - 1;
  while (open >= 0 && ranges_[static_cast<std::size_t>(open)].length != kOpen) --open;
  if (open < 0) Fail("invalid pattern capture");
  Range& range = ranges_[static_cast<std::size_t>(open)];
  range.length = at - range.start;
  const std::size_t end = Match(at, item);
  if (end == kNowhere) range.length = kOpen;
  return end;
}

std::size_t Matcher::MatchLongest(std::size_t at, std::size_t item, std::size_t after) {
  std::size_t last = at;
  while (MatchesOne(last, item, after)) ++last;
  while (true) {
    const std::size_t end = Match(last, after + 1);
    if (end != kNowhere || last == at) return end;
    --last;
  }
}

std::size_t Matcher::MatchShortest(std::size_t at, std::size_t item, std::size_t after) {
  while (true) {
    const std::size_t end = Match(at, after + 1);
    if (end != kNowhere || !MatchesOne(at, item, after)) return end;
    ++at;
  }
}

std::size_t Matcher::SkipBalanced(std::size_t at, std::size_t delimiters) {
  if (delimiters + 1 >= pattern_.size()) Fail("malformed pattern (missing arguments to '%b')");
  const char opening = pattern_[delimiters];
  const char closing = pattern_[delimiters + 1];
  if (at == text_.size() || text_[at] != opening) return kNowhere;
  std::size_t depth = 1;
  for (++at; at < text_.size(); ++at) {
    Step();
    // Closing goes first: the two may be the same.
    if (text_[at] == closing) {
      if (--depth == 0) return at + 1;
    } else if (text_[at] == opening) {
      ++depth;
    }
  }
  return kNowhere;
}

std::size_t Matcher::SkipRepeated(std::size_t at, unsigned char digit) {
  const int index = digit - '1';
  if (index < 0 || index >= captures_) Fail(NoCapture(index));
  const Range& range = ranges_[static_cast<std::size_t>(index)];
  if (range.length == kOpen) Fail(NoCapture(index));
  // A place is longer than any text.
  if (range.length > text_.size() - at) return kNowhere;
  Step(range.length / 16);
  return text_.substr(at, range.length) == text_.substr(range.start, range.length) ? at + range.length : kNowhere;
}

bool Matcher::AtFrontier(std::size_t at, std::size_t set, std::size_t after) {
  const unsigned char before = at == 0 ? '\0' : TextAt(at - 1);
  return !InSet(before, set, after - 1) && InSet(TextAt(at), set, after - 1);
}

bool Matcher::MatchesOne(std::size_t at, std::size_t item, std::size_t after) {
  Step();
  if (at >= text_.size()) return false;
  const unsigned char c = TextAt(at);
  switch (pattern_[item]) {
    case '.':
      return true;
    case '%':
      return InClass(c, PatternAt(item + 1));
    case '[':
      return InSet(c, item, after - 1);
    default:
      return PatternAt(item) == c;
  }
}

bool Matcher::InSet(unsigned char c, std::size_t set, std::size_t last) {
  std::size_t i = set + 1;
  const bool complement = PatternAt(i) == '^';
  if (complement) ++i;
  Step(last - i);
  for (; i < last; ++i) {
    bool in = false;
    if (pattern_[i] == '%') {
      ++i;
      in = InClass(c, PatternAt(i));
    } else if (PatternAt(i + 1) == '-' && i + 2 < last) {
      in = PatternAt(i) <= c && c <= PatternAt(i + 2);
      i += 2;
    } else {
      in = PatternAt(i) == c;
    }
    if (in) return !complement;
  }
  return complement;
}

std::size_t Matcher::EndOfItem(std::size_t item) {
  const char first = pattern_[item++];
  if (first == '%') {
    if (item == pattern_.size()) Fail("malformed pattern (ends with '%')");
    return item + 1;
  }
  if (first != '[') return item;
  if (PatternAt(item) == '^') ++item;
  const std::size_t begin = item;
  // A bracket that comes first is one of the set.
  do {
    if (item >= pattern_.size()) {
      Step(item - begin);
      Fail("malformed pattern (missing ']')");
    }
    item += pattern_[item] == '%' && item + 1 < pattern_.size() ? 2 : 1;
  } while (PatternAt(item) != ']');
  Step(item - begin);
  return item + 1;
}

unsigned char Matcher::PatternAt(std::size_t i) const {
  return i < pattern_.size() ? static_cast<unsigned char>(pattern_[i]) : '\0';
}

unsigned char Matcher::TextAt(std::size_t i) const {
  return i < text_.size() ? static_cast<unsigned char>(text_[i]) : '\0';
}

void Matcher::Pay() { host_.Spend(std::exchange(unpaid_, 0)); }

void Matcher::Fail(const std::string& message) {
  Pay();
  host_.Fail(message);
}

std::size_t FindPlain(std::string_view text, std::string_view part, std::size_t from, MatchHost& host) {
  if (part.empty()) return from <= text.size() ? from : Matcher::kNowhere;
  // In windows that grow, so that no more is spent than is looked at: a part that is near is found at once.
  std::size_t window = std::max(kFirstWindow, part.size());
  while (from <= text.size() && part.size() <= text.size() - from) {
    const std::size_t places = std::min(window, text.size() - from - part.size() + 1);
    const std::string_view looked_at = text.substr(from, places + part.size() - 1);
    host.Spend(1 + places / 16);
    const std::size_t first = looked_at.substr(0, places).find(part.front());
    if (first != std::string_view::npos) {
      // Unlike string_view's, linear for any part.
      const std::string_view rest = looked_at.substr(first);
      host.Spend(rest.size() / kComparedPerStep);
      const void* const found = memmem(rest.data(), rest.size(), part.data(), part.size());
      if (found != nullptr) return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    }
    from += places;
    window *= 2;
  }
  return Matcher::kNowhere;
}

bool IsPlain(std::string_view pattern) { return pattern.find_first_of("^$*+?.([%-") == std::string_view::npos; }

}  // namespace corod::lua
