#include "client/cli/json_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/coroutine/map.h"
#include "server/coroutine/utf8.h"

namespace corod::cli {
namespace {

// Far above what a server takes; deeper ones would not fit on a stack.
constexpr std::size_t kMaxDepth = 4000;
constexpr std::array<std::string_view, 5> kSpecialKeys = {"$bytes", "$number", "$exception", "$message", "$map"};

bool IsSpecial(std::string_view key) {
  return std::find(kSpecialKeys.begin(), kSpecialKeys.end(), key) != kSpecialKeys.end();
}

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// At most the beginning of what the user wrote, for a message.
std::string Excerpt(std::string_view text) {
  constexpr std::size_t kMost = 60;
  if (text.size() <= kMost) return std::string(text);
  return absl::StrCat(View(text.substr(0, CompleteUtf8Prefix(text.substr(0, kMost)))), "...");
}

absl::Status Wrong(absl::string_view message) { return absl::InvalidArgumentError(message); }

// The value of one key of a special map, taken off so that what is left was not expected.
class Fields {
 public:
  Fields(std::string_view what, const Value& value) : what_(what) {
    if (value.kind() == Value::Kind::kMap) {
      map_ = value.AsMap();
    } else {
      Refuse("must hold a map");
    }
  }

  std::optional<Value> Take(std::string_view key, Value::Kind kind, std::string_view kind_name) {
    const Value* found = map_.Find(key);
    if (found == nullptr) return std::nullopt;
    Value value = *found;
    map_.Erase(key);
    if (value.kind() == kind) return value;
    Refuse(absl::StrCat(": \"", View(key), "\" must be ", View(kind_name)));
    return std::nullopt;
  }

  std::optional<std::string> TakeText(std::string_view key) {
    const std::optional<Value> value = Take(key, Value::Kind::kText, "a text");
    return value ? std::optional<std::string>(value->AsText()) : std::nullopt;
  }

  bool TakeTrue(std::string_view key) {
    const std::optional<Value> value = Take(key, Value::Kind::kBoolean, "true or false");
    return value && value->AsBoolean();
  }

  std::vector<std::string> TakeTexts(std::string_view key) {
    std::vector<std::string> texts;
    const std::optional<Value> list = Take(key, Value::Kind::kList, "a list of texts");
    if (!list) return texts;
    for (const Value& item : list->AsList()) {
      if (item.kind() == Value::Kind::kText) {
        texts.push_back(item.AsText());
      } else {
        Refuse(absl::StrCat(": \"", View(key), "\" must be a list of texts"));
      }
    }
    return texts;
  }

  void Refuse(std::string_view why) {
    if (status_.ok())
      status_ = Wrong(absl::StrCat("\"", View(what_), "\"", why.starts_with(':') ? "" : " ", View(why)));
  }

  // The first thing that was wrong; a key that nobody took is.
  absl::Status Finish() {
    if (!map_.empty()) Refuse(absl::StrCat("has an unknown key, \"", map_.begin()->key, "\""));
    return status_;
  }

 private:
  const std::string_view what_;
  Map map_;
  absl::Status status_;
};

absl::StatusOr<Value> BytesFrom(std::string_view what, const std::string& base64) {
  std::string bytes;
  if (!absl::Base64Unescape(base64, &bytes)) return Wrong(absl::StrCat("\"", View(what), "\" must hold base64"));
  return Value::Blob(std::move(bytes));
}

absl::StatusOr<Exception> ExceptionFrom(const Value& value) {
  Fields fields("$exception", value);
  const std::optional<std::string> type = fields.TakeText("type");
  if (!type || type->empty()) fields.Refuse("needs a \"type\", the name of a class");
  const std::optional<std::string> message = fields.TakeText("message");
  const std::optional<Value> arguments = fields.Take("arguments", Value::Kind::kList, "a list");
  const std::vector<std::string> bases = fields.TakeTexts("bases");
  const std::vector<std::string> notes = fields.TakeTexts("notes");
  const std::optional<std::string> traceback = fields.TakeText("traceback");
  const std::optional<Value> cause = fields.Take("cause", Value::Kind::kMap, "an exception");
  const std::optional<Value> context = fields.Take("context", Value::Kind::kMap, "an exception");
  const bool context_is_cause = fields.TakeTrue("context_is_cause");
  const std::optional<Value> suppress = fields.Take("suppress_context", Value::Kind::kBoolean, "true or false");
  if (absl::Status status = fields.Finish(); !status.ok()) return status;
  Exception exception(*type, arguments ? arguments->AsList() : List(), bases);
  if (message) exception.SetMessage(*message);
  if (traceback) exception.SetTraceback(*traceback);
  for (const std::string& note : notes) exception.AddNote(note);
  if (cause) {
    absl::StatusOr<Exception> of = ExceptionFrom(*cause);
    if (!of.ok()) return of.status();
    exception.SetCause(*of);
    if (context_is_cause) exception.SetContext(*of);
  }
  if (context) {
    absl::StatusOr<Exception> of = ExceptionFrom(*context);
    if (!of.ok()) return of.status();
    exception.SetContext(*of);
  }
  if (suppress) exception.SetSuppressContext(suppress->AsBoolean());
  return exception;
}

absl::StatusOr<Value> MessageFrom(const Value& value) {
  Fields fields("$message", value);
  const std::optional<std::string> url = fields.TakeText("type_url");
  const std::optional<std::string> base64 = fields.TakeText("value");
  if (!url || !base64) fields.Refuse("needs a \"type_url\" and a \"value\"");
  if (absl::Status status = fields.Finish(); !status.ok()) return status;
  absl::StatusOr<Value> bytes = BytesFrom("$message", *base64);
  if (!bytes.ok()) return bytes;
  return Value(Message{*url, bytes->AsBlob()});
}

// What a map whose first key is special stands for.
absl::StatusOr<Value> SpecialFrom(const Map& map) {
  const std::string& key = map.begin()->key;
  const Value& value = map.begin()->value;
  const bool is_text = value.kind() == Value::Kind::kText;
  if (map.size() > 1) {
    return Wrong(absl::StrCat("a map that begins with \"", key,
                              "\" has no other keys; write {\"$map\": {...}} for one that has"));
  }
  if (key == "$bytes") return is_text ? BytesFrom(key, value.AsText()) : Wrong("\"$bytes\" must hold base64");
  if (key == "$exception") {
    absl::StatusOr<Exception> exception = ExceptionFrom(value);
    if (!exception.ok()) return exception.status();
    return Value(*exception);
  }
  if (key == "$message") return MessageFrom(value);
  if (key == "$number" && is_text) {
    if (value.AsText() == "nan") return Value(std::numeric_limits<double>::quiet_NaN());
    if (value.AsText() == "inf") return Value(std::numeric_limits<double>::infinity());
    if (value.AsText() == "-inf") return Value(-std::numeric_limits<double>::infinity());
  }
  if (key == "$number") return Wrong(R"("$number" must hold "nan", "inf" or "-inf")");
  if (value.kind() != Value::Kind::kMap) return Wrong("\"$map\" must hold a map");
  return value;
}

// Builds a Value from what the parser reads. A method that returns false ends the parse, with `status` set.
class Builder {
 public:
  // REQUIRES: the parser returned true.
  Value TakeResult() { return std::move(result_); }
  const absl::Status& status() const { return status_; }
  // The text is no JSON at all, as opposed to JSON that means nothing here.
  bool is_not_json() const { return is_not_json_; }

  bool null() { return Add(Value()); }
  bool boolean(bool value) { return Add(Value(value)); }
  bool number_integer(std::int64_t value) { return Add(Value(value)); }
  bool number_unsigned(std::uint64_t value) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return TooBig(std::to_string(value));
    return Add(Value(static_cast<std::int64_t>(value)));
  }
  bool number_float(double value, const std::string& digits) {
    // The parser falls back to double for an integer beyond 64 bits.
    if (digits.find_first_of(".eE") == std::string::npos) return TooBig(digits);
    return Add(Value(value));
  }
  bool string(std::string& value) { return Add(Value(std::move(value))); }
  bool binary(std::vector<std::uint8_t>& /*value*/) { return Fail(absl::InternalError("JSON has no binary values")); }
  bool start_object(std::size_t /*size*/) {
    const Frame* around = open_.empty() ? nullptr : &open_.back();
    const bool is_literal =
        around != nullptr && around->is_map && !around->is_literal && around->map.size() == 1 && around->key == "$map";
    return Open({.is_map = true, .is_literal = is_literal});
  }
  bool key(std::string& key) {
    Frame& frame = open_.back();
    frame.key = std::move(key);
    frame.map[frame.key] = Value();
    return true;
  }
  bool end_object() {
    Frame frame = Pop();
    if (frame.is_literal || frame.map.empty() || !IsSpecial(frame.map.begin()->key))
      return Add(Value(std::move(frame.map)));
    absl::StatusOr<Value> value = SpecialFrom(frame.map);
    return value.ok() ? Add(*std::move(value)) : Fail(value.status());
  }
  bool start_array(std::size_t /*size*/) { return Open({.is_map = false}); }
  bool end_array() { return Add(Value(Pop().list)); }
  bool parse_error(std::size_t position, const std::string& /*token*/, const nlohmann::detail::exception& error) {
    constexpr int kOutOfRange = 406;
    if (error.id == kOutOfRange) return Fail(Wrong("a number is beyond the range of a 64-bit floating-point number"));
    is_not_json_ = true;
    return Fail(Wrong(absl::StrCat("not JSON: the mistake is at byte ", position)));
  }

 private:
  struct Frame {
    bool is_map;
    bool is_literal = false;  // what "$map" holds
    Map map = {};
    std::string key = {};  // of the value that comes next
    List list = {};
  };

  bool Open(Frame frame) {
    if (open_.size() >= kMaxDepth) return Fail(Wrong(absl::StrCat("the value nests more than ", kMaxDepth, " deep")));
    open_.push_back(std::move(frame));
    return true;
  }
  Frame Pop() {
    Frame frame = std::move(open_.back());
    open_.pop_back();
    return frame;
  }
  bool Add(Value value) {
    if (open_.empty()) {
      result_ = std::move(value);
    } else if (open_.back().is_map) {
      open_.back().map[open_.back().key] = std::move(value);
    } else {
      open_.back().list.push_back(std::move(value));
    }
    return true;
  }
  bool TooBig(const std::string& digits) {
    return Fail(Wrong(absl::StrCat("the integer ", Excerpt(digits), " is beyond 64 bits; write ", Excerpt(digits),
                                   ".0 for a number or \"", Excerpt(digits), "\" for a text")));
  }
  bool Fail(absl::Status status) {
    status_ = std::move(status);
    return false;
  }

  std::vector<Frame> open_;
  Value result_;
  absl::Status status_;
  bool is_not_json_ = false;
};

absl::StatusOr<Value> Parse(std::string_view text, bool* is_not_json) {
  *is_not_json = false;
  if (!IsUtf8(text)) return Wrong("not UTF-8");
  Builder builder;
  if (nlohmann::json::sax_parse(text, &builder)) return builder.TakeResult();
  *is_not_json = builder.is_not_json();
  return builder.status();
}

void Append(const Value& value, std::string& out);

void AppendQuoted(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const Utf8Character next = DecodeUtf8(text);
    const char32_t c = next.code_point;
    if (c == U'"' || c == U'\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == U'\n') {
      out += "\\n";
    } else if (c == U'\r') {
      out += "\\r";
    } else if (c == U'\t') {
      out += "\\t";
    } else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
      // Also the C1 controls, which some terminals obey.
      out += "\\u00";
      out += "0123456789abcdef"[c >> 4];
      out += "0123456789abcdef"[c & 15];
    } else {
      out += text.substr(0, next.size);
    }
    text.remove_prefix(next.size);
  }
  out += '"';
}

// The shortest digits that read back as `number`, with a point or an exponent, as Python writes them.
void AppendNumber(double number, std::string& out) {
  if (!std::isfinite(number)) {
    out += std::isnan(number) ? R"({"$number": "nan"})"
           : number < 0       ? R"({"$number": "-inf"})"
                              : R"({"$number": "inf"})";
    return;
  }
  const double magnitude = std::fabs(number);
  const bool scientific = magnitude != 0 && (magnitude < 1e-4 || magnitude >= 1e16);
  std::array<char, 40> buffer;
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const char* end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, format).ptr;
  const std::string_view digits(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  out += digits;
  if (!scientific && digits.find('.') == std::string_view::npos) out += ".0";
}

void AppendList(const List& list, std::string& out) {
  out += '[';
  for (const Value& item : list) {
    if (&item != &list.front()) out += ", ";
    Append(item, out);
  }
  out += ']';
}

void AppendTexts(const std::vector<std::string>& texts, std::string& out) {
  out += '[';
  for (const std::string& text : texts) {
    if (&text != &texts.front()) out += ", ";
    AppendQuoted(text, out);
  }
  out += ']';
}

void AppendMap(const Map& map, std::string& out) {
  const bool escape = !map.empty() && IsSpecial(map.begin()->key);
  if (escape) out += R"({"$map": )";
  out += '{';
  for (const Map::Entry& entry : map) {
    if (&entry != &*map.begin()) out += ", ";
    AppendQuoted(entry.key, out);
    out += ": ";
    Append(entry.value, out);
  }
  out += '}';
  if (escape) out += '}';
}

void AppendException(const Exception& exception, std::string& out) {
  const std::optional<Exception> cause = exception.cause();
  const std::optional<Exception> context = exception.context();
  out += R"({"type": )";
  AppendQuoted(exception.type(), out);
  out += R"(, "message": )";
  AppendQuoted(exception.message(), out);
  if (!exception.arguments().empty()) {
    out += R"(, "arguments": )";
    AppendList(exception.arguments(), out);
  }
  if (!exception.bases().empty()) {
    out += R"(, "bases": )";
    AppendTexts(exception.bases(), out);
  }
  if (!exception.notes().empty()) {
    out += R"(, "notes": )";
    AppendTexts(exception.notes(), out);
  }
  if (cause) {
    out += R"(, "cause": )";
    AppendException(*cause, out);
  }
  if (cause && context && context->Is(*cause)) {
    out += R"(, "context_is_cause": true)";
  } else if (context) {
    out += R"(, "context": )";
    AppendException(*context, out);
  }
  if (exception.suppress_context() != cause.has_value()) {
    out += exception.suppress_context() ? R"(, "suppress_context": true)" : R"(, "suppress_context": false)";
  }
  if (!exception.traceback().empty()) {
    out += R"(, "traceback": )";
    AppendQuoted(exception.traceback(), out);
  }
  out += '}';
}

void Append(const Value& value, std::string& out) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      out += "null";
      break;
    case Value::Kind::kBoolean:
      out += value.AsBoolean() ? "true" : "false";
      break;
    case Value::Kind::kInteger:
      out += std::to_string(value.AsInteger());
      break;
    case Value::Kind::kNumber:
      AppendNumber(value.AsNumber(), out);
      break;
    case Value::Kind::kText:
      AppendQuoted(value.AsText(), out);
      break;
    case Value::Kind::kBlob:
      absl::StrAppend(&out, R"({"$bytes": ")", absl::Base64Escape(value.AsBlob()), "\"}");
      break;
    case Value::Kind::kList:
      AppendList(value.AsList(), out);
      break;
    case Value::Kind::kMap:
      AppendMap(value.AsMap(), out);
      break;
    case Value::Kind::kMessage:
      out += R"({"$message": {"type_url": )";
      AppendQuoted(value.AsMessage().type_url, out);
      absl::StrAppend(&out, R"(, "value": ")", absl::Base64Escape(value.AsMessage().payload), "\"}}");
      break;
    case Value::Kind::kException:
      out += R"({"$exception": )";
      AppendException(value.AsException(), out);
      out += '}';
      break;
  }
}

}  // namespace

absl::StatusOr<Value> ParseJson(std::string_view text) {
  bool is_not_json;
  return Parse(text, &is_not_json);
}

absl::StatusOr<Value> ParseValue(std::string_view text) {
  bool is_not_json;
  absl::StatusOr<Value> value = Parse(text, &is_not_json);
  if (!is_not_json) return value;
  if (text.empty() || std::string_view("\"[{").find(text.front()) == std::string_view::npos) return Value(text);
  return Wrong(absl::StrCat(Excerpt(text), " begins as JSON but is ", value.status().message(),
                            "; a text that begins so is written in quotes, as a JSON string"));
}

std::string ToJson(const Value& value) {
  std::string out;
  Append(value, out);
  return out;
}

std::string ToJson(const Exception& exception) {
  std::string out;
  AppendException(exception, out);
  return out;
}

std::string QuoteJson(std::string_view text) {
  std::string out;
  AppendQuoted(text, out);
  return out;
}

}  // namespace corod::cli
