#include "server/coroutine/held.h"

#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "server/coroutine/exception.h"
#include "server/coroutine/map.h"

namespace corod {
namespace {

constexpr std::size_t kNode = 48;  // with what the allocator adds
constexpr std::size_t kException = 256;
// What a std::string has in itself.
constexpr std::size_t kInPlace = 15;

}  // namespace

void HeldMemory::Add(const std::string& text) {
  if (text.size() > kInPlace) bytes_ += text.size() + 16;
}

void HeldMemory::Add(const List& items) {
  bytes_ += sizeof(Value) * items.size();
  for (const Value& item : items) Add(item);
}

void HeldMemory::AddNode(const Value& value) {
  if (value.kind() == Value::Kind::kException) {
    AddException(value);
    return;
  }
  // What is held once can be met once.
  if (value.node_->references.load(std::memory_order_relaxed) > 1 && !shared_.insert(value.node_).second) return;
  bytes_ += kNode;
  switch (value.kind()) {
    case Value::Kind::kNull:
    case Value::Kind::kBoolean:
    case Value::Kind::kInteger:
    case Value::Kind::kNumber:
    case Value::Kind::kException:
      break;
    case Value::Kind::kText:
      Add(value.AsText());
      break;
    case Value::Kind::kBlob:
      Add(value.AsBlob());
      break;
    case Value::Kind::kList:
      Add(value.AsList());
      break;
    case Value::Kind::kMap:
      for (const Map::Entry& entry : value.AsMap()) {
        bytes_ += sizeof(Map::Entry);
        Add(entry.key);
        Add(entry.value);
      }
      break;
    case Value::Kind::kMessage:
      Add(value.AsMessage().type_url);
      Add(value.AsMessage().payload);
      break;
  }
}

void HeldMemory::AddException(const Value& value) {
  std::vector<Value> work = {value};  // a chain may be long
  while (!work.empty()) {
    const Value next = std::move(work.back());
    work.pop_back();
    if (!shared_.insert(next.node_).second) continue;
    const Exception exception = next.AsException();
    bytes_ += kException;
    Add(exception.type());
    Add(exception.message());
    Add(exception.traceback());
    for (const std::vector<std::string>* texts : {&exception.bases(), &exception.notes()}) {
      for (const std::string& text : *texts) {
        bytes_ += sizeof(std::string);
        Add(text);
      }
    }
    Add(exception.arguments());
    for (const std::optional<Exception>& linked : {exception.cause(), exception.context()}) {
      if (linked) work.emplace_back(*linked);
    }
  }
}

}  // namespace corod
