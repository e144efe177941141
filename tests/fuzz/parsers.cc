// Fuzzes the parsers that take text in chunks: csv_parser, json_lines and line_splitter.
//
// The same bytes, sent whole and cut at places that the fuzzer chooses (as bytes, or as text where a piece is UTF-8),
// give the same records, the same rest at the close, and the same error at the same place with the same records before
// it. What is yielded can be sent: UTF-8 and no deeper than values may be. What json_lines takes or refuses is what
// another JSON parser takes or refuses. smtp_receiver survives any line, and answers each with reply lines.
//
// A finding again: build-fuzz/fuzz/parsers build-fuzz/findings/parsers/crash-...
// An input: the parser and its arguments, how many cuts, the lengths of the pieces, the bytes.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "server/catalog/builtin/json_document.h"
#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/limits.h"
#include "server/coroutine/map.h"
#include "server/coroutine/outcome.h"
#include "server/coroutine/text_form.h"
#include "server/coroutine/utf8.h"
#include "server/coroutine/value.h"
#include "tests/fuzz/input.h"

namespace corod::fuzz {
namespace {

const Catalog& Builtins() {
  static const Catalog* const kCatalog = [] {
    auto* catalog = new Catalog;
    AddBuiltinCoroutines(*catalog);
    return catalog;
  }();
  return *kCatalog;
}

Coroutine Make(const char* name, const Map& arguments) { return Builtins().Find(name)->Make(arguments); }

// What a text was parsed to.
struct Parsed {
  List records;  // yielded, or held by the error
  Value rest;    // what close returned
  std::string error;

  friend bool operator==(const Parsed&, const Parsed&) = default;
};

std::string Described(const Parsed& parsed) {
  return Repr(Value(parsed.records)) + ", rest " + Repr(parsed.rest) + ", error '" + parsed.error + "'";
}

void CheckSendable(const Outcome& outcome) {
  const ValueLimits limits;
  const ValueMeasure measure =
      outcome.kind == Outcome::Kind::kRaised ? Measure(outcome.exception(), limits) : Measure(outcome.value, limits);
  Require(measure.fault == ValueMeasure::Fault::kNone || measure.fault == ValueMeasure::Fault::kTooLarge,
          "an outcome that cannot be sent");
}

void Append(List& records, const List& more) { records.insert(records.end(), more.begin(), more.end()); }

// The error's message; its records go to `parsed`.
void TakeError(const Outcome& outcome, Parsed& parsed) {
  const Exception error = outcome.exception();
  Require(error.type() == "ValueError", "raised " + error.type() + ": " + error.message());
  const Map& details = error.arguments().at(1).AsMap();
  const std::string place = "line " + std::to_string(details.Find("line")->AsInteger()) + ", column " +
                            std::to_string(details.Find("column")->AsInteger()) + ": ";
  Require(error.message().starts_with(place), "the message and its details name different places");
  Append(parsed.records, details.Find("parsed")->AsList());
  parsed.error = error.message();
}

Parsed Parse(Coroutine parser, const std::vector<Value>& chunks) {
  Parsed parsed;
  Require(parser.Next() == Outcome::Yielded(List{}), "nothing was sent, and something parsed");
  for (const Value& chunk : chunks) {
    const Outcome outcome = parser.Send(chunk);
    CheckSendable(outcome);
    if (outcome.kind == Outcome::Kind::kRaised) {
      TakeError(outcome, parsed);
      return parsed;
    }
    Require(outcome.kind == Outcome::Kind::kYielded, "a parser returned by itself");
    Append(parsed.records, outcome.value.AsList());
  }
  const Outcome closed = parser.Close();
  CheckSendable(closed);
  if (closed.kind == Outcome::Kind::kRaised) {
    TakeError(closed, parsed);
  } else {
    Require(closed.kind == Outcome::Kind::kReturned, "a parser ignored its close");
    parsed.rest = closed.value;
  }
  return parsed;
}

// `bytes` in pieces whose lengths `cuts` holds, the last one whatever is left.
std::vector<Value> Cut(std::string_view bytes, std::string_view cuts, bool as_text) {
  std::vector<Value> chunks;
  for (const char cut : cuts) {
    const std::string_view piece = bytes.substr(0, static_cast<unsigned char>(cut));
    bytes.remove_prefix(piece.size());
    chunks.push_back(as_text && IsUtf8(piece) ? Value(piece) : Value::Blob(std::string(piece)));
  }
  chunks.push_back(Value::Blob(std::string(bytes)));
  return chunks;
}

void CheckCuts(const char* name, const Map& arguments, std::string_view cuts, bool as_text, std::string_view bytes) {
  const Parsed whole = Parse(Make(name, arguments), {Value::Blob(std::string(bytes))});
  const Parsed in_pieces = Parse(Make(name, arguments), Cut(bytes, cuts, as_text));
  if (whole == in_pieces) return;
  Fail(std::string(name) + ", whole:\n  " + Described(whole) + "\nin pieces:\n  " + Described(in_pieces));
}

// How deep lists and maps nest.
int DepthOf(const nlohmann::json& document) {
  int depth = 0;
  for (const nlohmann::json& item : document) depth = std::max(depth, item.is_structured() ? DepthOf(item) : 0);
  return document.is_structured() ? depth + 1 : 0;
}

bool IsSame(const Value& value, const nlohmann::json& document) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      return document.is_null();
    case Value::Kind::kBoolean:
      return document.is_boolean() && document.get<bool>() == value.AsBoolean();
    case Value::Kind::kInteger:
      return document.is_number_integer() && document.get<std::int64_t>() == value.AsInteger();
    case Value::Kind::kNumber:  // also what does not fit into 64 bits
      return document.is_number() && document.get<double>() == value.AsNumber();
    case Value::Kind::kText:
      return document.is_string() && document.get_ref<const std::string&>() == value.AsText();
    case Value::Kind::kList: {
      const List& items = value.AsList();
      if (!document.is_array() || document.size() != items.size()) return false;
      for (std::size_t i = 0; i < items.size(); ++i) {
        if (!IsSame(items[i], document[i])) return false;
      }
      return true;
    }
    case Value::Kind::kMap: {
      const Map& map = value.AsMap();
      if (!document.is_object() || document.size() != map.size()) return false;
      for (const Map::Entry& entry : map) {
        const auto found = document.find(entry.key);
        if (found == document.end() || !IsSame(entry.value, *found)) return false;
      }
      return true;
    }
    default:
      return false;
  }
}

void CheckJson(std::string_view line) {
  // The other parser skips a byte order mark and ends at a zero.
  if (!IsUtf8(line) || line.starts_with("\xef\xbb\xbf") || line.find('\0') != std::string_view::npos) return;
  const nlohmann::json document = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  const std::variant<Value, builtin::JsonError> parsed = builtin::ParseJson(line);
  if (const auto* error = std::get_if<builtin::JsonError>(&parsed)) {
    Require(error->offset <= line.size() && IsUtf8(error->what), "an error beside the text");
    Require(document.is_discarded() || DepthOf(document) > builtin::kMaxJsonDepth, "refused: " + error->what);
    return;
  }
  Require(!document.is_discarded(), "accepted: " + Repr(std::get<Value>(parsed)));
  Require(IsSame(std::get<Value>(parsed), document), "parsed to " + Repr(std::get<Value>(parsed)));
}

void CheckSmtp(std::string_view bytes) {
  Coroutine receiver = Make("smtp_receiver", {});
  static_cast<void>(receiver.Next());
  while (!bytes.empty() && receiver.state() == CoroutineState::kSuspended) {
    const std::size_t size = bytes.find('\n');
    const std::string_view line = bytes.substr(0, size);
    bytes.remove_prefix(size == std::string_view::npos ? bytes.size() : size + 1);
    const Outcome outcome = receiver.Send(IsUtf8(line) ? Value(line) : Value::Blob(std::string(line)));
    CheckSendable(outcome);
    // Lines of a message are answered with nothing.
    if (outcome.kind != Outcome::Kind::kYielded || outcome.value.is_null()) continue;
    const std::string& reply = outcome.value.AsText();
    Require(reply.size() > 3 && reply.find_first_not_of("0123456789") == 3, "not a reply line: " + reply);
  }
  CheckSendable(receiver.Close());
}

void TestOneInput(Input input) {
  const std::uint8_t parser = input.Pick(6);
  if (parser == 4) return CheckJson(input.Rest());
  if (parser == 5) return CheckSmtp(input.Rest());
  static constexpr const char* kDelimiters[] = {",", ";", "\t", "\u00e9", " "};
  Map arguments;
  if (parser == 0 || parser == 1) {
    arguments["delimiter"] = Value(kDelimiters[input.Pick(5)]);
    arguments["header"] = Value(parser == 1);
  } else if (parser == 2) {
    arguments["keep_ends"] = Value(input.Flag());
  }
  static constexpr const char* kNames[] = {"csv_parser", "csv_parser", "line_splitter", "json_lines"};
  const bool as_text = input.Flag();
  const std::string_view cuts = input.Take(input.Byte() & 15);
  CheckCuts(kNames[parser], arguments, cuts, as_text, input.Rest());
}

}  // namespace
}  // namespace corod::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  corod::fuzz::TestOneInput(corod::fuzz::Input(data, size));
  return 0;
}
