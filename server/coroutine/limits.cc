#include "server/coroutine/limits.h"

#include <bit>
#include <string_view>

#include "server/coroutine/map.h"
#include "server/coroutine/utf8.h"

namespace corod {
namespace {

using Fault = ValueMeasure::Fault;

std::size_t VarintBytes(std::uint64_t value) { return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7; }

// A field with a length: tag (all numbers are below 16), length, content.
std::size_t FieldBytes(std::size_t content) { return 1 + VarintBytes(content) + content; }
std::size_t TextFieldBytes(std::size_t content) { return content == 0 ? 0 : FieldBytes(content); }

// Adds up what proto/corod/v1/value.proto encodes to.
class Meter {
 public:
  explicit Meter(const ValueLimits& limits) : limits_(limits) {}

  Fault fault() const { return fault_; }

  std::size_t Of(const Value& value, int depth) {
    switch (value.kind()) {
      case Value::Kind::kNull:
        return 0;
      case Value::Kind::kBoolean:
        return 2;
      case Value::Kind::kInteger: {
        const std::int64_t integer = value.AsInteger();
        return 1 + VarintBytes((static_cast<std::uint64_t>(integer) << 1) ^ static_cast<std::uint64_t>(integer >> 63));
      }
      case Value::Kind::kNumber:
        return 9;
      case Value::Kind::kText:
        return Bounded(FieldBytes(Utf8(value.AsText())));
      case Value::Kind::kBlob:
        return Bounded(FieldBytes(value.AsBlob().size()));
      case Value::Kind::kList:
        return Bounded(FieldBytes(OfItems(value.AsList(), Deeper(depth))));
      case Value::Kind::kMap:
        return Bounded(FieldBytes(OfEntries(value.AsMap(), Deeper(depth))));
      case Value::Kind::kMessage:
        return Bounded(FieldBytes(TextFieldBytes(Utf8(value.AsMessage().type_url)) +
                                  TextFieldBytes(value.AsMessage().payload.size())));
      case Value::Kind::kException:
        return Bounded(FieldBytes(Of(value.AsException(), Deeper(depth), 1)));
    }
    return 0;
  }

  // `depth_per_link`: how much deeper its cause and context are; 0 where the chain does not count.
  std::size_t Of(const Exception& exception, int depth, int depth_per_link) {
    if (fault_ != Fault::kNone) return 0;
    std::size_t bytes = TextFieldBytes(Utf8(exception.type())) + TextFieldBytes(Utf8(exception.message())) +
                        TextFieldBytes(Utf8(exception.traceback())) + (exception.suppress_context() ? 2 : 0);
    bytes += OfItems(exception.arguments(), depth);
    for (const std::string& base : exception.bases()) bytes += FieldBytes(Utf8(base));
    for (const std::string& note : exception.notes()) bytes += FieldBytes(Utf8(note));
    const std::optional<Exception> cause = exception.cause();
    const std::optional<Exception> context = exception.context();
    const auto link = [&](const Exception& next) {
      if (depth_per_link != 0) Deeper(depth);
      return FieldBytes(Of(next, depth + depth_per_link, depth_per_link));
    };
    if (cause) bytes += link(*cause);
    if (context) bytes += cause && context->Is(*cause) ? 2 : link(*context);
    return Bounded(bytes);
  }

 private:
  int Deeper(int depth) {
    if (depth + 1 > limits_.max_depth) Fail(Fault::kTooDeep);
    return depth + 1;
  }

  std::size_t Utf8(std::string_view text) {
    if (!IsUtf8(text)) Fail(Fault::kNotUtf8);
    return text.size();
  }

  // Stops early: `bytes` of one part are at most those of the whole.
  std::size_t Bounded(std::size_t bytes) {
    if (bytes > limits_.max_bytes) Fail(Fault::kTooLarge);
    return bytes;
  }

  std::size_t OfItems(const List& items, int depth) {
    std::size_t bytes = 0;
    for (const Value& item : items) {
      if (fault_ != Fault::kNone) return 0;
      bytes = Bounded(bytes + FieldBytes(Of(item, depth)));
    }
    return bytes;
  }

  std::size_t OfEntries(const Map& map, int depth) {
    std::size_t bytes = 0;
    for (const Map::Entry& entry : map) {
      if (fault_ != Fault::kNone) return 0;
      const std::size_t value = entry.value.is_null() ? 0 : FieldBytes(Of(entry.value, depth));
      bytes = Bounded(bytes + FieldBytes(TextFieldBytes(Utf8(entry.key)) + value));
    }
    return bytes;
  }

  void Fail(Fault fault) {
    if (fault_ == Fault::kNone) fault_ = fault;
  }

  const ValueLimits& limits_;
  Fault fault_ = Fault::kNone;
};

}  // namespace

ValueMeasure Measure(const Value& value, const ValueLimits& limits) {
  Meter meter(limits);
  const std::size_t bytes = meter.Of(value, 0);
  return {meter.fault(), bytes};
}

ValueMeasure Measure(const Exception& exception, const ValueLimits& limits) {
  Meter meter(limits);
  const std::size_t bytes = meter.Of(exception, 0, 0);
  return {meter.fault(), bytes};
}

}  // namespace corod
