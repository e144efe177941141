#include "tests/differential/canonical.h"

#include <algorithm>
#include <vector>

#include "server/coroutine/map.h"
#include "server/coroutine/text_form.h"

namespace corod::differential {
namespace {

using Enclosing = std::vector<Exception>;

void AppendException(std::string& out, const Exception& exception, Enclosing& enclosing);

void AppendValue(std::string& out, const Value& value, Enclosing& enclosing) {
  bool first = true;
  const auto separate = [&] {
    if (!first) out += ", ";
    first = false;
  };
  switch (value.kind()) {
    case Value::Kind::kList:
      out += '[';
      for (const Value& item : value.AsList()) {
        separate();
        AppendValue(out, item, enclosing);
      }
      out += ']';
      break;
    case Value::Kind::kMap:
      out += '{';
      for (const Map::Entry& entry : value.AsMap()) {
        separate();
        out += Repr(entry.key) + ": ";
        AppendValue(out, entry.value, enclosing);
      }
      out += '}';
      break;
    case Value::Kind::kException:
      out += '<';
      AppendException(out, value.AsException(), enclosing);
      out += '>';
      break;
    default:
      out += Repr(value);
  }
}

void AppendException(std::string& out, const Exception& exception, Enclosing& enclosing) {
  const bool encloses_itself =
      std::any_of(enclosing.begin(), enclosing.end(), [&](const Exception& seen) { return seen.Is(exception); });
  if (encloses_itself) out += '^';
  out += exception.type();
  for (const std::string& base : exception.bases()) out += ":" + base;
  out += '(';
  bool first = true;
  for (const Value& argument : exception.arguments()) {
    if (!first) out += ", ";
    first = false;
    AppendValue(out, argument, enclosing);
  }
  out += ") " + Repr(exception.message());
  if (encloses_itself) return;
  for (const std::string& note : exception.notes()) out += " note " + Repr(note);
  if (exception.suppress_context()) out += " !";
  const std::optional<Exception> cause = exception.cause();
  const std::optional<Exception> context = exception.context();
  enclosing.push_back(exception);
  if (cause) {
    out += " from <";
    AppendException(out, *cause, enclosing);
    out += '>';
  }
  if (context && cause && context->Is(*cause)) {
    out += " while =";
  } else if (context) {
    out += " while <";
    AppendException(out, *context, enclosing);
    out += '>';
  }
  enclosing.pop_back();
}

}  // namespace

std::string CanonicalValue(const Value& value) {
  std::string out;
  Enclosing enclosing;
  AppendValue(out, value, enclosing);
  return out;
}

std::string CanonicalException(const Exception& exception) {
  std::string out;
  Enclosing enclosing;
  AppendException(out, exception, enclosing);
  return out;
}

}  // namespace corod::differential
