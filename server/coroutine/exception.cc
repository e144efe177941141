#include "server/coroutine/exception.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "server/coroutine/errors.h"
#include "server/coroutine/map.h"
#include "server/coroutine/text_form.h"

namespace corod {

namespace {

constexpr int kMaxLevels = 16;
constexpr int kMaxExceptions = 64;

// str() of an exception with these arguments.
std::string MessageOf(const Exception& exception) {
  const List& arguments = exception.arguments();
  if (arguments.empty()) return "";
  if (arguments.size() == 1) return exception.IsA("KeyError") ? Repr(arguments[0]) : Str(arguments[0]);
  if (arguments.size() == 2 && exception.IsA("OSError"))
    return "[Errno " + Str(arguments[0]) + "] " + Str(arguments[1]);
  std::string text = "(";
  for (const Value& argument : arguments) {
    if (text.size() > 1) text += ", ";
    text += Repr(argument);
  }
  return text + ")";
}

}  // namespace

struct Exception::Data : internal::Node {
  std::string type;
  std::string message;
  List arguments;
  std::vector<std::string> bases;
  std::vector<std::string> notes;
  std::string traceback;
  std::optional<Exception> cause;
  std::optional<Exception> context;
  bool suppress_context = false;
};

Exception::Exception(std::string type, List arguments, std::vector<std::string> bases) : data_(new Data) {
  data_->type = std::move(type);
  data_->arguments = std::move(arguments);
  data_->bases = std::move(bases);
  data_->message = MessageOf(*this);
}

Exception::Exception(const Exception& other) noexcept : data_(other.data_) {
  data_->references.fetch_add(1, std::memory_order_relaxed);
}

Exception& Exception::operator=(const Exception& other) noexcept {
  Exception copy(other);
  std::swap(data_, copy.data_);
  return *this;
}

Exception::~Exception() {
  if (data_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) Destroy(data_);
}

void Exception::Destroy(internal::Node* node) noexcept {
  // A chain of any length goes without recursion: each link that only this chain holds is taken off before its turn.
  std::vector<Exception> rest;
  const auto take_links = [&rest](Data* data) {
    if (data->cause) rest.push_back(*std::exchange(data->cause, std::nullopt));
    if (data->context) rest.push_back(*std::exchange(data->context, std::nullopt));
  };
  Data* data = static_cast<Data*>(node);
  take_links(data);
  delete data;
  while (!rest.empty()) {
    Exception next = rest.back();
    rest.pop_back();
    if (next.data_->references.load(std::memory_order_acquire) == 1) take_links(next.data_);
  }
}

const std::string& Exception::type() const { return data_->type; }
const std::string& Exception::message() const { return data_->message; }
const List& Exception::arguments() const { return data_->arguments; }
const std::vector<std::string>& Exception::bases() const { return data_->bases; }
const std::vector<std::string>& Exception::notes() const { return data_->notes; }
const std::string& Exception::traceback() const { return data_->traceback; }
bool Exception::suppress_context() const { return data_->suppress_context; }
std::optional<Exception> Exception::cause() const { return data_->cause; }
std::optional<Exception> Exception::context() const { return data_->context; }

bool Exception::IsA(std::string_view name) const {
  const auto derives = [name](std::string_view type) {
    for (; !type.empty(); type = BuiltinBaseOf(type)) {
      if (type == name || (type == "ExceptionGroup" && name == "BaseExceptionGroup")) return true;
    }
    return false;
  };
  if (derives(data_->type)) return true;
  bool known = !BuiltinBaseOf(data_->type).empty() || data_->type == "BaseException";
  for (const std::string& base : data_->bases) {
    if (derives(base)) return true;
    known = known || !BuiltinBaseOf(base).empty() || base == "BaseException";
  }
  return !known && derives("Exception");
}

Value Exception::StopValue() const { return data_->arguments.empty() ? Value() : data_->arguments.front(); }

void Exception::SetMessage(std::string message) { data_->message = std::move(message); }
void Exception::SetTraceback(std::string traceback) { data_->traceback = std::move(traceback); }
void Exception::AddNote(std::string note) { data_->notes.push_back(std::move(note)); }
void Exception::SetSuppressContext(bool suppress) { data_->suppress_context = suppress; }

namespace {

// Calls `visit` with each exception in a value.
template <typename F>
void VisitExceptions(const Value& value, const F& visit) {
  switch (value.kind()) {
    case Value::Kind::kException:
      return visit(value.AsException());
    case Value::Kind::kList:
      for (const Value& item : value.AsList()) VisitExceptions(item, visit);
      return;
    case Value::Kind::kMap:
      for (const Map::Entry& entry : value.AsMap()) VisitExceptions(entry.value, visit);
      return;
    default:
      return;
  }
}

}  // namespace

bool Exception::LeadsTo(const Data* target) const {
  if (target->references.load(std::memory_order_acquire) == 1) return false;  // no chain holds it
  std::vector<const Data*> open{data_};
  std::unordered_set<const Data*> seen;
  while (!open.empty()) {
    const Data* data = open.back();
    open.pop_back();
    if (data == target) return true;
    if (!seen.insert(data).second) continue;
    if (data->cause) open.push_back(data->cause->data_);
    if (data->context) open.push_back(data->context->data_);
    for (const Value& argument : data->arguments) {
      VisitExceptions(argument, [&open](const Exception& held) { open.push_back(held.data_); });
    }
  }
  return false;
}

void Exception::SetCause(const Exception& cause) {
  // A cause that leads back here would never be freed; its copy does not.
  data_->cause = cause.LeadsTo(data_) ? cause.Snapshot() : cause;
  data_->suppress_context = true;
}

void Exception::SetContext(const Exception& handled) {
  if (handled.Is(*this)) return;
  if (!handled.LeadsTo(data_)) {
    data_->context = handled;
    return;
  }
  for (Data* link = handled.data_; link->context; link = link->context->data_) {
    if (!link->context->Is(*this)) continue;
    link->context.reset();
    break;
  }
  // It may still lead here through a cause, and would never be freed; its copy does not.
  data_->context = handled.LeadsTo(data_) ? handled.Snapshot() : handled;
}

namespace {

bool HoldsException(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kException:
      return true;
    case Value::Kind::kList:
      return std::any_of(value.AsList().begin(), value.AsList().end(), HoldsException);
    case Value::Kind::kMap:
      return std::any_of(value.AsMap().begin(), value.AsMap().end(),
                         [](const Map::Entry& entry) { return HoldsException(entry.value); });
    default:
      return false;
  }
}

}  // namespace

Value Snapshot(const Value& value) {
  if (!HoldsException(value)) return value;
  if (value.kind() == Value::Kind::kException) return Value(value.AsException().Snapshot());
  Value copy = value;
  if (copy.kind() == Value::Kind::kList) {
    for (Value& item : copy.MutableList()) item = Snapshot(item);
  } else {
    Map& map = copy.MutableMap();
    for (const Map::Entry& entry : value.AsMap()) map[entry.key] = Snapshot(entry.value);
  }
  return copy;
}

Exception Exception::Snapshot() const {
  int budget = kMaxExceptions;
  const auto copy = [&budget](const auto& self, const Exception& original, int level) -> Exception {
    --budget;
    Exception result(new Data);
    Data& to = *result.data_;
    const Data& from = *original.data_;
    to.type = from.type;
    to.message = from.message;
    to.bases = from.bases;
    to.notes = from.notes;
    to.traceback = from.traceback;
    to.suppress_context = from.suppress_context;
    for (const Value& argument : from.arguments) to.arguments.push_back(corod::Snapshot(argument));
    const auto link = [&](const std::optional<Exception>& next, const char* what) -> std::optional<Exception> {
      if (!next) return std::nullopt;
      if (level < kMaxLevels && budget > 0) return self(self, *next, level + 1);
      to.notes.push_back(std::string(what) + " left out: " + next->type() + ": " + next->message());
      return std::nullopt;
    };
    to.cause = link(from.cause, "cause");
    if (from.context && from.cause && from.context->Is(*from.cause)) {
      to.context = to.cause;
    } else {
      to.context = link(from.context, "context");
    }
    return result;
  };
  return copy(copy, *this, 1);
}

bool operator==(const Exception& a, const Exception& b) {
  if (a.Is(b)) return true;
  const Exception::Data& x = *a.data_;
  const Exception::Data& y = *b.data_;
  // Compared once where it is both: a chain of `raise ... from` would take twice the time with each level.
  const auto context_is_cause = [](const Exception::Data& data) {
    return data.cause && data.context && data.context->Is(*data.cause);
  };
  return x.type == y.type && x.message == y.message && x.arguments == y.arguments && x.bases == y.bases &&
         x.notes == y.notes && x.suppress_context == y.suppress_context && x.cause == y.cause &&
         ((context_is_cause(x) && context_is_cause(y)) || x.context == y.context);
}

// Value's side of the handle: the Value and the Exception share one count.
Value::Value(const Exception& exception) : Value(exception.data_, Kind::kException) {
  node_->references.fetch_add(1, std::memory_order_relaxed);
}

Exception Value::AsException() const {
  if (kind_ != Kind::kException) {
    throw py::TypeError("exceptions must be classes or instances deriving from BaseException, not " +
                        std::string(TypeName()));
  }
  node_->references.fetch_add(1, std::memory_order_relaxed);
  return Exception(static_cast<Exception::Data*>(node_));
}

std::string_view BuiltinBaseOf(std::string_view name) {
  struct Pair {
    std::string_view name, base;
  };
  static constexpr auto kPairs = std::to_array<Pair>({{"Exception", "BaseException"},
                                                      {"asyncio.CancelledError", "BaseException"},
                                                      {"concurrent.futures.CancelledError", "asyncio.CancelledError"},
                                                      {"json.JSONDecodeError", "ValueError"},
                                                      {"IOError", "OSError"},
                                                      {"EnvironmentError", "OSError"},
#define COROD_PAIR(Name, Base) {#Name, #Base},
                                                      COROD_BUILTIN_EXCEPTIONS(COROD_PAIR)
#undef COROD_PAIR
  });
  for (const Pair& pair : kPairs) {
    if (pair.name == name) return pair.base;
  }
  return {};
}

}  // namespace corod
