#include "server/lua/source.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace corod::lua {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kBlanks = " \t\n\v\f\r";
constexpr std::string_view kBlanksInLine = " \t\v\f";
constexpr std::string_view kLineEnds = "\n\r";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool BeginsWord(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsOfWord(char c) { return BeginsWord(c) || IsDigit(c); }

enum class Kind : std::uint8_t {
  kEnd,  // of the source
  kName,
  kBlockOpens,   // do, function, if, repeat
  kBlockCloses,  // end, until
  kString,
  kEllipsis,
  kAssign,
  kSeparator,  // , and ;
  kBraceOpens,
  kBraceCloses,
  kBracketOpens,
  kBracketCloses,
  kParenthesisOpens,
  kParenthesisCloses,
  kOther,
};

// The tokens after which a brace opens the argument of a call.
bool IsCalled(Kind before) {
  return before == Kind::kName || before == Kind::kString || before == Kind::kParenthesisCloses ||
         before == Kind::kBracketCloses || before == Kind::kBraceCloses;
}

// Only an expression that ends with one of these may stand for another number of values than one.
bool MayEndMany(Kind last) {
  return last == Kind::kParenthesisCloses || last == Kind::kBraceCloses || last == Kind::kString ||
         last == Kind::kEllipsis;
}

struct Token {
  Kind kind = Kind::kEnd;
  std::string_view before;  // blanks and comments
  std::string_view text;
};

// Takes a source apart as Lua 5.4 does. What is not Lua comes in some tokens.
class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  // At the end: a token without text, again and again.
  Token Next() {
    Token token;
    token.before = Take([this] { SkipBlanks(); });
    token.text = Take([this, &token] { token.kind = Skip(); });
    return token;
  }

 private:
  template <typename Skipping>
  std::string_view Take(const Skipping& skip) {
    const std::size_t start = at_;
    skip();
    return source_.substr(start, at_ - start);
  }

  bool AtEnd() const { return at_ == source_.size(); }
  char Peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }

  void SkipTo(std::size_t where) { at_ = std::min(where, source_.size()); }

  bool SkipOneOf(std::string_view characters) {
    if (AtEnd() || characters.find(Peek()) == std::string_view::npos) return false;
    ++at_;
    return true;
  }

  void SkipBlanks() {
    for (;;) {
      SkipTo(source_.find_first_not_of(kBlanks, at_));
      if (!source_.substr(at_).starts_with("--")) return;
      at_ += 2;
      if (!SkipLongBracket()) SkipTo(source_.find_first_of(kLineEnds, at_));
    }
  }

  // [[ ... ]], [=[ ... ]=] and so on, if it comes.
  bool SkipLongBracket() {
    if (Peek() != '[') return false;
    const std::size_t second = source_.find_first_not_of('=', at_ + 1);
    if (second == std::string_view::npos || source_[second] != '[') return false;
    std::string closing(source_.substr(at_, second - at_ + 1));
    closing.front() = closing.back() = ']';
    const std::size_t end = source_.find(closing, second + 1);
    SkipTo(end == std::string_view::npos ? end : end + closing.size());
    return true;
  }

  Kind Skip() {
    if (AtEnd()) return Kind::kEnd;
    const char c = Peek();
    if (BeginsWord(c)) return SkipWord();
    if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) return SkipNumber();
    if (c == '"' || c == '\'') return SkipString();
    if (SkipLongBracket()) return Kind::kString;
    for (const std::string_view sign :
         {"..."sv, ".."sv, "=="sv, "~="sv, "<="sv, ">="sv, "<<"sv, ">>"sv, "//"sv, "::"sv}) {
      if (source_.substr(at_).starts_with(sign)) {
        at_ += sign.size();
        return sign == "..." ? Kind::kEllipsis : Kind::kOther;
      }
    }
    ++at_;
    switch (c) {
      case '=':
        return Kind::kAssign;
      case ',':
      case ';':
        return Kind::kSeparator;
      case '{':
        return Kind::kBraceOpens;
      case '}':
        return Kind::kBraceCloses;
      case '[':
        return Kind::kBracketOpens;
      case ']':
        return Kind::kBracketCloses;
      case '(':
        return Kind::kParenthesisOpens;
      case ')':
        return Kind::kParenthesisCloses;
      default:
        return Kind::kOther;
    }
  }

  Kind SkipWord() {
    const std::string_view word = Take([this] {
      while (IsOfWord(Peek())) ++at_;
    });
    static constexpr std::array kBlocksOpen = {"do"sv, "function"sv, "if"sv, "repeat"sv};
    static constexpr std::array kBlocksClose = {"end"sv, "until"sv};
    static constexpr std::array kOthers = {"and"sv,    "break"sv, "else"sv,  "elseif"sv, "false"sv, "for"sv,
                                           "goto"sv,   "in"sv,    "local"sv, "nil"sv,    "not"sv,   "or"sv,
                                           "return"sv, "then"sv,  "true"sv,  "while"sv};
    if (std::ranges::find(kBlocksOpen, word) != kBlocksOpen.end()) return Kind::kBlockOpens;
    if (std::ranges::find(kBlocksClose, word) != kBlocksClose.end()) return Kind::kBlockCloses;
    return std::ranges::find(kOthers, word) != kOthers.end() ? Kind::kOther : Kind::kName;
  }

  // All of this that comes belongs to the number, or it is none. The sign of an exponent comes as an operator.
  Kind SkipNumber() {
    while (IsOfWord(Peek()) || Peek() == '.') ++at_;
    return Kind::kOther;
  }

  Kind SkipString() {
    const char quote = source_[at_++];
    while (!AtEnd() && kLineEnds.find(Peek()) == std::string_view::npos) {
      const char c = source_[at_++];
      if (c == quote) break;
      if (c == '\\') SkipEscaped();
    }
    return Kind::kString;
  }

  void SkipEscaped() {
    if (SkipOneOf("z")) {
      SkipTo(source_.find_first_not_of(kBlanks, at_));
    } else if (SkipOneOf("\n")) {
      SkipOneOf("\r");
    } else if (SkipOneOf("\r")) {
      SkipOneOf("\n");
    } else if (!AtEnd()) {
      ++at_;
    }
  }

  std::string_view source_;
  std::size_t at_ = 0;
};

// A bracket or block that is open.
struct Frame {
  Kind closes = Kind::kEnd;
  bool is_key = false;  // [ of a key
  // Of a constructor:
  bool is_argument = false;       // of a call without parentheses
  bool in_field = false;          // not at the beginning of a field, where the closing brace may come as well
  bool keyed = false;             // the field has a key
  std::uint32_t constructor = 0;  // which one, in the order in which they open
  std::uint32_t fields = 0;       // up to here
  std::uint32_t items = 0;        // fields without keys
};

// What a token is in a constructor.
enum class Role : std::uint8_t { kNone, kOpens, kNameKey, kKeyOpens, kKeyCloses, kAssigns, kSeparates, kCloses };

struct Step {
  Token token;
  Kind last = Kind::kEnd;  // the kinds of the tokens in front of it and behind it
  Kind next = Kind::kEnd;
  Role role = Role::kNone;
  Frame constructor;  // unless the role is kNone: whose part the token is
  bool begins_item = false;
  Frame item_of;  // if it does: the constructor that has the item
};

// Goes through a source and finds its constructors.
class Reader {
 public:
  explicit Reader(std::string_view source) : lexer_(source), next_(lexer_.Next()) {}

  // The last one has a token of kind kEnd.
  Step Next() {
    Step step;
    step.token = next_;
    step.last = last_;
    next_ = lexer_.Next();
    step.next = next_.kind;
    Read(step);
    last_ = step.token.kind;
    last_role_ = step.role;
    return step;
  }

 private:
  bool InConstructor() const { return !frames_.empty() && frames_.back().closes == Kind::kBraceCloses; }

  static void SetRole(Step& step, Role role, const Frame& constructor) {
    step.role = role;
    step.constructor = constructor;
  }

  void Read(Step& step) {
    const Kind kind = step.token.kind;
    if (kind == Kind::kAssign && (last_role_ == Role::kNameKey || last_role_ == Role::kKeyCloses)) {
      SetRole(step, Role::kAssigns, frames_.back());
      return;
    }
    if (InConstructor() && !frames_.back().in_field && kind != Kind::kBraceCloses && BeginField(step)) return;
    switch (kind) {
      case Kind::kBraceOpens:
        frames_.push_back({.closes = Kind::kBraceCloses, .is_argument = IsCalled(last_), .constructor = opened_++});
        SetRole(step, Role::kOpens, frames_.back());
        break;
      case Kind::kBracketOpens:
        frames_.push_back({.closes = Kind::kBracketCloses});
        break;
      case Kind::kParenthesisOpens:
        frames_.push_back({.closes = Kind::kParenthesisCloses});
        break;
      case Kind::kBlockOpens:
        frames_.push_back({.closes = Kind::kBlockCloses});
        break;
      case Kind::kBraceCloses:
      case Kind::kBracketCloses:
      case Kind::kParenthesisCloses:
      case Kind::kBlockCloses:
        ReadClosing(step);
        break;
      case Kind::kSeparator:
        if (!InConstructor()) break;
        SetRole(step, Role::kSeparates, frames_.back());
        frames_.back().in_field = false;
        break;
      default:
        break;
    }
  }

  // False: it has no key.
  bool BeginField(Step& step) {
    Frame& constructor = frames_.back();
    const bool opens = step.token.kind == Kind::kBracketOpens;
    constructor.in_field = true;
    constructor.keyed = opens || (step.token.kind == Kind::kName && step.next == Kind::kAssign);
    ++constructor.fields;
    if (constructor.keyed) {
      SetRole(step, opens ? Role::kKeyOpens : Role::kNameKey, constructor);
      if (opens) frames_.push_back({.closes = Kind::kBracketCloses, .is_key = true});
      return true;
    }
    ++constructor.items;
    step.begins_item = true;
    step.item_of = constructor;
    return false;
  }

  void ReadClosing(Step& step) {
    if (frames_.empty() || frames_.back().closes != step.token.kind) return;
    const Frame closed = frames_.back();
    frames_.pop_back();
    if (closed.closes == Kind::kBraceCloses) SetRole(step, Role::kCloses, closed);
    if (closed.is_key) SetRole(step, Role::kKeyCloses, frames_.back());
  }

  Lexer lexer_;
  Token next_;
  Kind last_ = Kind::kEnd;
  Role last_role_ = Role::kNone;
  std::vector<Frame> frames_;
  std::uint32_t opened_ = 0;
};

// What is known of a constructor at its end and needed from its beginning on.
struct Shape {
  std::uint32_t fields = 0;
  bool is_map = false;        // a field has a key
  bool may_end_many = false;  // the last field has no key and may stand for many values

  bool EndsMany() const { return is_map && may_end_many; }
  // The fields of a map that are written as pairs.
  std::uint32_t Pairs() const { return may_end_many ? fields - 1 : fields; }
};

// Of each constructor, in the order in which they open.
std::vector<Shape> Survey(std::string_view source) {
  std::vector<Shape> shapes;
  Reader reader(source);
  for (Step step = reader.Next(); step.token.kind != Kind::kEnd; step = reader.Next()) {
    if (step.role == Role::kNone) continue;
    if (step.role == Role::kOpens) shapes.emplace_back();
    Shape& shape = shapes[step.constructor.constructor];
    if (step.constructor.keyed) shape.is_map = true;
    if ((step.role == Role::kSeparates || step.role == Role::kCloses) && step.constructor.in_field) {
      shape.fields = step.constructor.fields;
      shape.may_end_many = !step.constructor.keyed && MayEndMany(step.last);
    }
  }
  return shapes;
}

class Writer {
 public:
  Writer(const std::vector<Shape>& shapes, std::size_t size) : shapes_(shapes) { text_.reserve(size); }

  void Write(const Step& step) {
    if (step.role == Role::kNone) {
      text_ += step.token.before;
      WriteIndex(step);
      text_ += step.token.text;
      return;
    }
    const Shape& shape = shapes_[step.constructor.constructor];
    // An error's line is that of the last token that Lua had read when it made the code that fails. It makes that of a
    // key and of its value as soon as they end, and that of an item behind the separator or brace that follows. It
    // still does with what ends the former right behind them.
    if (step.constructor.keyed) WriteEnd(step, shape);
    const std::string_view before = step.token.before;
    text_ += step.role == Role::kAssigns ? before.substr(0, before.find_last_not_of(kBlanksInLine) + 1) : before;
    WriteIndex(step);
    if (!step.constructor.keyed) WriteEnd(step, shape);
    WriteToken(step, shape);
  }

  std::string Take() { return std::move(text_); }

 private:
  // In front of an item of a map, unless it stands behind the pairs.
  void WriteIndex(const Step& step) {
    if (!step.begins_item) return;
    const Shape& shape = shapes_[step.item_of.constructor];
    if (shape.is_map && step.item_of.fields <= shape.Pairs()) text_ += std::to_string(step.item_of.items) + ", ";
  }

  // What ends a key, a field, or the pairs of a map.
  void WriteEnd(const Step& step, const Shape& shape) {
    const Frame& constructor = step.constructor;
    const bool is_last = constructor.fields == shape.fields;
    const std::string pairs_end = "}, " + std::to_string(shape.Pairs());
    if (step.role == Role::kKeyCloses) {
      text_ += ',';
    } else if (step.role == Role::kSeparates) {
      if (shape.is_map && constructor.fields == shape.Pairs() && (constructor.keyed || !is_last)) {
        text_ += pairs_end;
        if (!is_last) text_ += ", " + std::to_string(constructor.items + 1) + ",";
      } else if (!is_last || !shape.EndsMany()) {
        text_ += step.token.text;
      }
    } else if (step.role == Role::kCloses && shape.is_map && !shape.EndsMany()) {
      // Behind a separator at the end the pairs have ended, if it was that of a key's value.
      if (constructor.in_field || !constructor.keyed) text_ += pairs_end;
    }
  }

  // The token itself, if something of it remains in a constructor.
  void WriteToken(const Step& step, const Shape& shape) {
    const Frame& constructor = step.constructor;
    if (step.role == Role::kOpens) {
      if (constructor.is_argument) {
        text_ += '(';
      } else if (!text_.empty() && IsOfWord(text_.back())) {
        text_ += ' ';
      }
      text_ += shape.is_map ? "__map({" : "__list{";
    } else if (step.role == Role::kNameKey) {
      text_ += '"';
      text_ += step.token.text;
      text_ += "\",";
    } else if (step.role == Role::kCloses) {
      text_ += shape.is_map ? ')' : '}';
      if (constructor.is_argument) {
        text_ += ')';
      } else if (step.next == Kind::kParenthesisOpens) {
        text_ += ';';  // a statement begins, since a constructor cannot be called; what __list returns could
      }
    }
  }

  const std::vector<Shape>& shapes_;
  std::string text_;
};

}  // namespace

std::optional<int> FindReservedName(std::string_view source) {
  Lexer lexer(source);
  std::string_view last;
  for (Token token = lexer.Next(); token.kind != Kind::kEnd; token = lexer.Next()) {
    const bool reserved = token.text == "__list" || token.text == "__map";
    if (reserved && last != "." && last != ":") {
      const auto at = static_cast<std::size_t>(token.text.data() - source.data());
      return 1 + static_cast<int>(std::ranges::count(source.substr(0, at), '\n'));
    }
    last = token.text;
  }
  return std::nullopt;
}

std::string RewriteConstructors(std::string_view source) {
  const std::vector<Shape> shapes = Survey(source);
  Writer writer(shapes, source.size() + source.size() / 4);
  Reader reader(source);
  Step step;
  do {
    step = reader.Next();
    writer.Write(step);
  } while (step.token.kind != Kind::kEnd);
  return writer.Take();
}

}  // namespace corod::lua
