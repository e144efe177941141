// Drives the built-in coroutines for tests in other languages. Every line of the input is a JSON object
//
//     {"coroutine": NAME, "version": N, "arguments": {NAME: VALUE, ...}, "commands": [COMMAND, ...], "restart":
//     BOOLEAN} COMMAND = ["send", VALUE] | ["throw", EXCEPTION] | ["close"]
//
// that is answered by one line of output, either {"refused": MESSAGE} or {"outcomes": [["yielded" | "returned" |
// "raised", VALUE], ...]}. Without "version" it is the newest; with "restart" the coroutine is restarted from what it
// keeps before each command before which it can be. The line {} is answered by {"coroutines": [[NAME, VERSION], ...]}.
// A VALUE is null, true, false or an object with one member:
//
//     {"i": "10"}  {"f": "0x1p+0"}  {"t": "text"}  {"b": "hexadecimal"}  {"l": [VALUE, ...]}  {"m": [[KEY, VALUE],
//     ...]}
//     {"e": {"type": TYPE, "arguments": [VALUE, ...], "message": TEXT, "context": TYPE | null}}
//
// so that 1, 1.0 and true stay apart and numbers keep their bits. At the end of the input it fails if a frame is left.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/map.h"

namespace corod {
namespace {

using Json = nlohmann::ordered_json;

Value Decode(const Json& json);

Exception DecodeException(const Json& json) {
  List arguments;
  for (const Json& argument : json.at("arguments")) arguments.push_back(Decode(argument));
  return Exception(json.at("type").get<std::string>(), std::move(arguments));
}

Value Decode(const Json& json) {
  if (json.is_null()) return Value();
  if (json.is_boolean()) return Value(json.get<bool>());
  const std::string kind = json.begin().key();
  const Json& content = json.begin().value();
  if (kind == "i") return Value(static_cast<std::int64_t>(std::stoll(content.get<std::string>())));
  if (kind == "f") return Value(std::strtod(content.get<std::string>().c_str(), nullptr));
  if (kind == "t") return Value(content.get<std::string>());
  if (kind == "b") {
    const std::string digits = content.get<std::string>();
    std::string bytes;
    for (std::size_t i = 0; i < digits.size(); i += 2) {
      bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    }
    return Value::Blob(std::move(bytes));
  }
  if (kind == "l") {
    List items;
    for (const Json& item : content) items.push_back(Decode(item));
    return items;
  }
  if (kind == "m") {
    Map map;
    for (const Json& entry : content) map[entry.at(0).get<std::string>()] = Decode(entry.at(1));
    return map;
  }
  return DecodeException(content);
}

Json Encode(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      return nullptr;
    case Value::Kind::kBoolean:
      return value.AsBoolean();
    case Value::Kind::kInteger:
      return {{"i", std::to_string(value.AsInteger())}};
    case Value::Kind::kNumber: {
      char text[64];
      std::snprintf(text, sizeof text, "%a", value.AsNumber());
      return {{"f", text}};
    }
    case Value::Kind::kText:
      return {{"t", value.AsText()}};
    case Value::Kind::kBlob: {
      std::string digits;
      for (const char byte : value.AsBlob()) {
        char text[3];
        std::snprintf(text, sizeof text, "%02x", static_cast<unsigned char>(byte));
        digits += text;
      }
      return {{"b", digits}};
    }
    case Value::Kind::kList: {
      Json items = Json::array();
      for (const Value& item : value.AsList()) items.push_back(Encode(item));
      return {{"l", std::move(items)}};
    }
    case Value::Kind::kMap: {
      Json entries = Json::array();
      for (const Map::Entry& entry : value.AsMap()) entries.push_back(Json::array({entry.key, Encode(entry.value)}));
      return {{"m", std::move(entries)}};
    }
    case Value::Kind::kMessage:
      return {{"any", value.AsMessage().type_url}};
    case Value::Kind::kException: {
      const Exception exception = value.AsException();
      Json arguments = Json::array();
      for (const Value& argument : exception.arguments()) arguments.push_back(Encode(argument));
      Json encoded{{"type", exception.type()}, {"arguments", std::move(arguments)}, {"message", exception.message()}};
      encoded["context"] = exception.context() ? Json(exception.context()->type()) : Json();
      return {{"e", std::move(encoded)}};
    }
  }
  return nullptr;
}

Outcome Execute(Coroutine& coroutine, const Json& command) {
  const std::string operation = command.at(0).get<std::string>();
  if (operation == "send") return coroutine.Send(Decode(command.at(1)));
  if (operation == "throw") return coroutine.Throw(DecodeException(command.at(1).at("e")));
  return coroutine.Close();
}

Json Run(const Catalog& catalog, const Json& script) {
  const Definition* definition =
      catalog.Find(script.at("coroutine").get<std::string>(), script.value("version", std::uint32_t{0}));
  if (!definition) return {{"refused", "no such coroutine"}};
  Map arguments;
  for (const auto& [name, value] : script.at("arguments").items()) arguments[name] = Decode(value);
  std::variant<std::vector<Value>, ArgumentError> bound = definition->BindArguments(arguments);
  if (const auto* error = std::get_if<ArgumentError>(&bound)) return {{"refused", error->message}};
  const auto& values = std::get<std::vector<Value>>(bound);
  const bool restart = script.value("restart", false);
  Coroutine coroutine = definition->create(values, kNewestRevision);
  Json outcomes = Json::array();
  for (const Json& command : script.at("commands")) {
    if (const std::optional<Value> kept = restart ? coroutine.Save() : std::nullopt) {
      std::variant<Coroutine, Exception> restarted = definition->Restart(values, *kept);
      if (const auto* error = std::get_if<Exception>(&restarted)) return {{"refused", "restart: " + error->message()}};
      coroutine = std::get<Coroutine>(std::move(restarted));
    }
    const Outcome outcome = Execute(coroutine, command);
    const char* kind = outcome.kind == Outcome::Kind::kYielded    ? "yielded"
                       : outcome.kind == Outcome::Kind::kReturned ? "returned"
                                                                  : "raised";
    outcomes.push_back(Json::array({kind, Encode(outcome.value)}));
  }
  return {{"outcomes", std::move(outcomes)}};
}

Json ListOf(const Catalog& catalog) {
  Json listed = Json::array();
  for (const Definition* newest : catalog.ListAfter("", std::numeric_limits<std::size_t>::max())) {
    for (std::uint32_t version = 1; version <= newest->version; ++version) {
      if (catalog.Find(newest->name, version)) listed.push_back(Json::array({newest->name, version}));
    }
  }
  return {{"coroutines", std::move(listed)}};
}

}  // namespace
}  // namespace corod

int main() {
  std::ios::sync_with_stdio(false);
  corod::Catalog catalog;
  corod::AddBuiltinCoroutines(catalog);
  std::string line;
  while (std::getline(std::cin, line)) {
    const corod::Json script = corod::Json::parse(line);
    const corod::Json answer = script.empty() ? corod::ListOf(catalog) : corod::Run(catalog, script);
    std::cout << answer.dump() << '\n' << std::flush;
  }
  const std::size_t frames = corod::LiveFrames().frames;
  if (frames != 0) std::cerr << frames << " frames are left\n";
  return frames == 0 ? 0 : 1;
}
