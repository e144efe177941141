#include "server/coroutine/fingerprint.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <string>

#include "server/coroutine/map.h"

namespace corod {
namespace {

constexpr std::uint64_t kPrime = 0x100000001b3;
// Of the prime: 0 to 8.
constexpr std::array<std::uint64_t, 9> kPowers = [] {
  std::array<std::uint64_t, 9> powers{1};
  for (std::size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * kPrime;
  return powers;
}();

}  // namespace

void Fingerprint::AddBytes(const void* bytes, std::size_t size) {
  const auto* byte = static_cast<const unsigned char*>(bytes);
  for (std::size_t i = 0; i < size; ++i) {
    hash_ ^= byte[i];
    hash_ *= kPrime;
  }
}

Fingerprint& Fingerprint::AddNumber(std::uint64_t number) {
  // Its eight bytes, the lowest first. The zeros above the last that is none are one multiplication.
  std::size_t zeros = kPowers.size() - 1;
  for (; number != 0; number >>= 8, --zeros) {
    hash_ ^= number & 0xff;
    hash_ *= kPrime;
  }
  hash_ *= kPowers[zeros];
  return *this;
}

Fingerprint& Fingerprint::AddText(std::string_view text) {
  AddNumber(static_cast<std::uint64_t>(text.size()));
  AddBytes(text.data(), text.size());
  return *this;
}

Fingerprint& Fingerprint::Add(const Exception& exception) {
  AddText(exception.type());
  AddText(exception.message());
  AddNumber(static_cast<std::uint64_t>(exception.arguments().size()));
  for (const Value& argument : exception.arguments()) Add(argument);
  for (const auto* texts : {&exception.bases(), &exception.notes()}) {
    AddNumber(static_cast<std::uint64_t>(texts->size()));
    for (const std::string& text : *texts) AddText(text);
  }
  AddNumber(static_cast<std::uint64_t>(exception.suppress_context()));
  // Each link by a fingerprint of its own, made once where the cause is the context: a chain of `raise ... from` would
  // take twice the time with each level.
  const std::optional<Exception> cause = exception.cause();
  const std::optional<Exception> context = exception.context();
  const std::uint64_t of_cause = cause ? Fingerprint().Add(*cause).value() : 0;
  AddNumber(of_cause);
  if (context && cause && context->Is(*cause)) return AddNumber(of_cause);
  return AddNumber(context ? Fingerprint().Add(*context).value() : 0);
}

Fingerprint& Fingerprint::Add(const Value& value) {
  AddNumber(static_cast<std::uint64_t>(value.kind()));
  switch (value.kind()) {
    case Value::Kind::kNull:
      return *this;
    case Value::Kind::kBoolean:
    case Value::Kind::kInteger:
      return AddNumber(static_cast<std::uint64_t>(value.AsInteger()));
    case Value::Kind::kNumber:
      return AddNumber(std::isnan(value.AsNumber()) ? std::uint64_t{0x7ff8000000000000}
                                                    : std::bit_cast<std::uint64_t>(value.AsNumber()));
    case Value::Kind::kText:
      return AddText(value.AsText());
    case Value::Kind::kBlob:
      return AddText(value.AsBlob());
    case Value::Kind::kList:
      AddNumber(static_cast<std::uint64_t>(value.AsList().size()));
      for (const Value& item : value.AsList()) Add(item);
      return *this;
    case Value::Kind::kMap:
      AddNumber(static_cast<std::uint64_t>(value.AsMap().size()));
      for (const Map::Entry& entry : value.AsMap()) AddText(entry.key).Add(entry.value);
      return *this;
    case Value::Kind::kMessage:
      return AddText(value.AsMessage().type_url).AddText(value.AsMessage().payload);
    case Value::Kind::kException:
      return Add(value.AsException());
  }
  return *this;
}

}  // namespace corod
