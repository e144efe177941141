#include "server/coroutine/held.h"

#include <string>

#include "server/coroutine/exception.h"
#include "server/coroutine/map.h"

namespace corod {
namespace {

constexpr std::size_t kNode = 48;  // with what the allocator adds
constexpr std::size_t kException = 256;
// What a std::string has in itself.
constexpr std::size_t kInPlace = 15;

std::size_t TextBytes(const std::string& text) { return text.size() > kInPlace ? text.size() + 16 : 0; }

std::size_t ItemsBytes(const List& items) {
  std::size_t bytes = 0;
  for (const Value& item : items) bytes += sizeof(Value) + HeldBytes(item);
  return bytes;
}

}  // namespace

std::size_t internal::HeldBytesOfNode(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull:
    case Value::Kind::kBoolean:
    case Value::Kind::kInteger:
    case Value::Kind::kNumber:
      return 0;
    case Value::Kind::kText:
      return kNode + TextBytes(value.AsText());
    case Value::Kind::kBlob:
      return kNode + TextBytes(value.AsBlob());
    case Value::Kind::kList:
      return kNode + ItemsBytes(value.AsList());
    case Value::Kind::kMap: {
      std::size_t bytes = kNode;
      for (const Map::Entry& entry : value.AsMap()) {
        bytes += sizeof(Map::Entry) + TextBytes(entry.key) + HeldBytes(entry.value);
      }
      return bytes;
    }
    case Value::Kind::kMessage:
      return kNode + TextBytes(value.AsMessage().type_url) + TextBytes(value.AsMessage().payload);
    case Value::Kind::kException: {
      const Exception exception = value.AsException();
      std::size_t bytes = kException + TextBytes(exception.message()) + TextBytes(exception.traceback());
      for (const std::string& note : exception.notes()) bytes += sizeof(std::string) + TextBytes(note);
      return bytes + ItemsBytes(exception.arguments());
    }
  }
  return 0;
}

}  // namespace corod
