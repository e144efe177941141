#include "server/lua/key_order.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <new>

#include "server/lua/metatables.h"
#include "server/lua/meter.h"

namespace corod::lua {
namespace {

// The range in which a list's items are if nothing is said about it.
constexpr lua_Integer kShortList = 16;
// So many keys a record holds itself, and looks through. With more of them it has a table of keys and one from keys to
// positions.
constexpr std::uint32_t kFewKeys = 8;
constexpr std::uint32_t kFirstRoom = 4;
// What takes so many steps at most counts as a constant, or as part of what led to it.
constexpr std::uint64_t kFreeSteps = 64;

// A userdata, with its keys or tables as user values. Positions count from 1.
struct Record {
  std::uint32_t items = 0;                 // the items 1 to this one come first
  std::uint32_t items_check = kShortList;  // if there are more, look how many still are there
  std::uint32_t count = 0;                 // keys
  std::uint32_t room = 0;                  // with so many keys it is made anew
  std::uint32_t first = 1;                 // all before are dead
  std::uint32_t last = 0;                  // where the last traversal came to
  std::uint32_t border = 0;                // the last that was told
  bool many = false;                       // it has the tables
};
// In place of a key that has a later entry.
void* const kNoKey = std::bit_cast<void*>(Hidden::kNoKey);

constexpr int kKeys = 1;       // user value: position -> key
constexpr int kPositions = 2;  // user value: key -> position

// Pushes the record, or else how far a list reaches; true: the record.
bool PushOrder(lua_State* state, int table) { return PushHidden(state, table, Hidden::kOrder) == LUA_TUSERDATA; }

// Null if it is a list.
Record* RecordOf(lua_State* state, int table) {
  auto* record = PushOrder(state, table) ? static_cast<Record*>(lua_touserdata(state, -1)) : nullptr;
  lua_pop(state, 1);
  return record;
}

// Pops that of a list.
lua_Integer PopListBound(lua_State* state) {
  const lua_Integer bound = lua_isnil(state, -1) ? kShortList : lua_tointeger(state, -1);
  lua_pop(state, 1);
  return bound;
}

bool HasItem(lua_State* state, int table, lua_Integer item) {
  const bool has = lua_rawgeti(state, table, item) != LUA_TNIL;
  lua_pop(state, 1);
  return has;
}

// Pushes number and value of the first item behind `item`, up to `bound`, that is there, and returns its number; 0 (and
// nothing pushed): there is none.
lua_Integer PushItemBehind(lua_State* state, int table, lua_Integer item, lua_Integer bound) {
  for (lua_Integer i = item + 1; i <= bound; ++i) {
    lua_pushinteger(state, i);
    if (lua_rawgeti(state, table, i) != LUA_TNIL) return i;
    lua_pop(state, 2);
    if (static_cast<std::uint64_t>(i - item) % kFreeSteps == 0) Charge(state, kFreeSteps);
  }
  return 0;
}

struct Items {
  lua_Integer there = 0;  // so many
  lua_Integer last = 0;   // the largest
  lua_Integer dense = 0;  // so many before the first gap
};

Items CountItems(lua_State* state, int table, lua_Integer bound) {
  Items items;
  if (static_cast<std::uint64_t>(bound) > kFreeSteps) Charge(state, static_cast<std::uint64_t>(bound));
  for (lua_Integer i = 1; i <= bound; ++i) {
    if (!HasItem(state, table, i)) continue;
    ++items.there;
    items.last = i;
    if (items.dense == i - 1) items.dense = i;
  }
  return items;
}

// It is a list to no avail: more of it is gaps than items.
bool IsSparse(const Items& items, lua_Integer last) { return items.there * 2 < last; }

// The record of a table, on the stack from `base` on: itself, and its table of keys if it has one.
class Order {
 public:
  // Takes the record on the top.
  Order(lua_State* state, int table)
      : state_(state),
        table_(table),
        base_(lua_gettop(state)),
        record_(static_cast<Record*>(lua_touserdata(state, -1))) {
    if (record_->many) lua_getiuservalue(state, base_, kKeys);
  }

  Record* operator->() const { return record_; }

  // Pops it, and what was pushed since but for the `results` values on the top.
  void Leave(int results) const {
    if (results > 0) lua_rotate(state_, base_, results);
    lua_settop(state_, base_ - 1 + results);
  }

  // Pushes the key at a position.
  int PushKey(std::uint32_t position) const {
    if (record_->many) return lua_rawgeti(state_, base_ + 1, position);
    return lua_getiuservalue(state_, base_, static_cast<int>(position));
  }

  // Pushes key and value of an entry; false (and nothing pushed): it is dead.
  bool PushEntry(std::uint32_t position) const {
    const int type = PushKey(position);
    if (!(type == LUA_TNUMBER && IsItem()) && !(type == LUA_TLIGHTUSERDATA && lua_touserdata(state_, -1) == kNoKey)) {
      if (PushSeen(state_, table_) != LUA_TNIL) return true;
      lua_pop(state_, 1);
    }
    lua_pop(state_, 1);
    return false;
  }

  bool IsAt(std::uint32_t position, int key) const {
    PushKey(position);
    const bool is = lua_rawequal(state_, -1, key) != 0;
    lua_pop(state_, 1);
    return is;
  }

  // The position of the key at `key`; 0: it has none.
  std::uint32_t Find(int key) const {
    if (record_->many) {
      lua_getiuservalue(state_, base_, kPositions);
      lua_pushvalue(state_, key);
      lua_rawget(state_, -2);
      const auto position = static_cast<std::uint32_t>(lua_tointeger(state_, -1));
      lua_pop(state_, 2);
      return position;
    }
    for (std::uint32_t position = 1; position <= record_->count; ++position) {
      if (IsAt(position, key)) return position;
    }
    return 0;
  }

  // Adds the key at `key`. REQUIRES: room; it is not there.
  void Append(int key) const {
    const std::uint32_t position = record_->count + 1;
    if (record_->many) {
      lua_getiuservalue(state_, base_, kPositions);
      lua_pushvalue(state_, key);
      lua_pushinteger(state_, position);
      lua_rawset(state_, -3);
      lua_pop(state_, 1);
    }
    lua_pushvalue(state_, key);
    SetKey(position);
    record_->count = position;
  }

  // What it knew of the key there is no longer so.
  void Forget(std::uint32_t position) const {
    lua_pushlightuserdata(state_, kNoKey);
    SetKey(position);
  }

 private:
  // The key on the top is.
  bool IsItem() const {
    if (!lua_isinteger(state_, -1)) return false;
    const lua_Integer item = lua_tointeger(state_, -1);
    return item >= 1 && item <= record_->items;
  }

  // Pops the key.
  void SetKey(std::uint32_t position) const {
    if (record_->many) {
      lua_rawseti(state_, base_ + 1, position);
    } else {
      lua_setiuservalue(state_, base_, static_cast<int>(position));
    }
  }

  lua_State* state_;
  int table_;
  int base_;
  Record* record_;
};

// Pushes a record without keys.
Record* PushRecord(lua_State* state, std::uint32_t room) {
  const bool many = room > kFewKeys;
  auto* record = new (lua_newuserdatauv(state, sizeof(Record), many ? kPositions : static_cast<int>(room))) Record;
  record->room = room;
  record->many = many;
  if (many) {
    lua_createtable(state, static_cast<int>(room), 0);
    lua_setiuservalue(state, -2, kKeys);
    lua_createtable(state, 0, static_cast<int>(room));
    lua_setiuservalue(state, -2, kPositions);
  }
  return record;
}

// Makes the table's record anew: without what is dead, with the items behind `items` as its last keys, and with room
// for as many again.
void Rebuild(lua_State* state, int table, lua_Integer items) {
  PushOrder(state, table);
  const Order from(state, table);
  if (from->count > kFreeSteps) Charge(state, from->count);
  std::uint32_t living = 0;
  for (std::uint32_t position = from->first; position <= from->count; ++position) {
    if (!from.PushEntry(position)) continue;
    lua_pop(state, 2);
    ++living;
  }
  for (lua_Integer i = items + 1; i <= from->items; ++i) living += HasItem(state, table, i) ? 1 : 0;
  PushRecord(state, living < kFewKeys ? std::clamp(living * 2, kFirstRoom, kFewKeys) : living * 2);
  lua_pushvalue(state, -1);
  const Order to(state, table);
  const int key = lua_gettop(state) + 1;
  for (std::uint32_t position = from->first; position <= from->count; ++position) {
    if (!from.PushEntry(position)) continue;
    to.Append(key);
    lua_pop(state, 2);
  }
  for (lua_Integer i = items + 1; i <= from->items; ++i) {
    if (!HasItem(state, table, i)) continue;
    lua_pushinteger(state, i);
    to.Append(key);
    lua_pop(state, 1);
  }
  to->items = static_cast<std::uint32_t>(items);
  to->items_check = from->items_check;
  to->border = from->border;
  to.Leave(0);
  SetHidden(state, table, Hidden::kOrder);
  from.Leave(0);
}

// Of a table with a record: if more of its items is gaps, those behind the first gap are items no more.
void CheckItems(lua_State* state, int table, const Items& items) {
  Record* record = RecordOf(state, table);
  if (IsSparse(items, record->items)) {
    Rebuild(state, table, items.dense);
    record = RecordOf(state, table);
  }
  record->items_check = std::max(record->items * 2, static_cast<std::uint32_t>(kShortList));
}

// Pushes key and value of what comes behind a place, and returns its own; 0 (and nothing pushed): nothing does.
Place PushBehind(lua_State* state, int table, const Order& order, Place place) {
  const lua_Integer items = order->items;
  if (place < items) {
    const lua_Integer item = PushItemBehind(state, table, place, items);
    if (item != 0) return item;
    place = items;
  }
  const auto from = static_cast<std::uint32_t>(place - items) + 1;
  std::uint32_t position = std::max(from, order->first);
  std::uint64_t steps = 0;
  bool found = false;
  for (; position <= order->count; ++position) {
    found = order.PushEntry(position);
    if (found) break;
    if (++steps % kFreeSteps == 0) Charge(state, kFreeSteps);
  }
  // What is dead stays dead: a key that comes again gets a new entry.
  if (from <= order->first) order->first = position;
  if (!found) return 0;
  order->last = position;
  return items + position;
}

// The number of the item, up to `items`, that the key at `key` is; 0: it is none.
lua_Integer ItemOf(lua_State* state, int key, lua_Integer items) {
  if (lua_type(state, key) != LUA_TNUMBER) return 0;
  // A float that has the value of an integer is that key.
  int exact = 0;
  const lua_Integer item = lua_tointegerx(state, key, &exact);
  return exact != 0 && item >= 1 && item <= items ? item : 0;
}

}  // namespace

bool HasOrder(lua_State* state, int table) {
  const bool has = PushOrder(state, table);
  lua_pop(state, 1);
  return has;
}

void MakeOrder(lua_State* state, int table, int room) {
  if (PushOrder(state, table)) {
    lua_pop(state, 1);
    return;
  }
  const lua_Integer bound = PopListBound(state);
  Items items;
  lua_pushnil(state);
  if (lua_next(state, table)) {
    lua_pop(state, 2);
    items = CountItems(state, table, bound);
  }
  Record* record = PushRecord(state, static_cast<std::uint32_t>(room));
  record->items = record->border = static_cast<std::uint32_t>(items.last);
  SetHidden(state, table, Hidden::kOrder);
  if (items.last > 0) CheckItems(state, table, items);
  RefreshMetatable(state, table);
}

void SetItems(lua_State* state, int table, lua_Integer count) {
  if (Record* record = RecordOf(state, table)) {
    record->items = record->border = static_cast<std::uint32_t>(count);
  } else if (count > kShortList) {
    lua_pushinteger(state, count);
    SetHidden(state, table, Hidden::kOrder);
  }
}

bool AddItem(lua_State* state, int table, lua_Integer item) {
  if (item < 1) return false;
  if (!PushOrder(state, table)) {
    const lua_Integer bound = PopListBound(state);
    // Up to the one behind the last that is there.
    const auto length = static_cast<lua_Integer>(lua_rawlen(state, table));
    if (item > length + 1 && !HasItem(state, table, item - 1)) {
      if (PushItemBehind(state, table, item, bound) == 0) return false;
      lua_pop(state, 2);
    }
    if (item > bound) {
      // A queue that moves on must not take ever longer to go through.
      if (IsSparse(CountItems(state, table, bound), bound)) return false;
      lua_pushinteger(state, bound * 2);
      SetHidden(state, table, Hidden::kOrder);
    }
    ChargeMemory(state, kItemBytes);
    lua_rawseti(state, table, item);
    return true;
  }
  auto* record = static_cast<Record*>(lua_touserdata(state, -1));
  lua_pop(state, 1);
  if (item == static_cast<lua_Integer>(record->items) + 1 && item > record->items_check) {
    CheckItems(state, table, CountItems(state, table, record->items));
    record = RecordOf(state, table);
  }
  if (item > static_cast<lua_Integer>(record->items) + 1) return false;
  ChargeMemory(state, kItemBytes);
  lua_rawseti(state, table, item);
  if (item <= record->items) return true;
  record->items = static_cast<std::uint32_t>(item);
  // Keys that follow on it have become items.
  if (record->count == 0) return true;
  while (HasItem(state, table, static_cast<lua_Integer>(record->items) + 1)) ++record->items;
  const std::uint64_t joined = record->items - static_cast<std::uint64_t>(item);
  if (joined > kFreeSteps) Charge(state, joined);
  if (joined * 2 > record->count) Rebuild(state, table, record->items);
  return true;
}

void AddKey(lua_State* state, int table, int key, bool fresh) {
  if (!PushOrder(state, table)) {
    lua_pop(state, 1);
    MakeOrder(state, table, kFirstRoom);
    PushOrder(state, table);
  }
  const Order order(state, table);
  if (!fresh) {
    const std::uint32_t old = order.Find(key);
    if (old != 0) order.Forget(old);
  }
  if (order->count < order->room) {
    order.Append(key);
  } else {
    Rebuild(state, table, order->items);
    PushOrder(state, table);
    Order(state, table).Append(key);
  }
  order.Leave(0);
}

int PushSeen(lua_State* state, int table) {
  lua_pushvalue(state, -1);
  if (lua_rawget(state, table) != LUA_TNIL || !IsEvent(state, -2)) return lua_type(state, -1);
  lua_pop(state, 1);
  return PushEvent(state, table);
}

Next PushNext(lua_State* state, int table, int key) {
  const bool first = lua_isnil(state, key);
  if (!PushOrder(state, table)) {
    const lua_Integer bound = PopListBound(state);
    const lua_Integer item = first ? 0 : ItemOf(state, key, bound);
    if (item == 0 && !first) return Next::kUnknownKey;
    return PushItemBehind(state, table, item, bound) != 0 ? Next::kEntry : Next::kEnd;
  }
  const Order order(state, table);
  Place place = 0;
  if (!first) {
    place = ItemOf(state, key, order->items);
    if (place == 0) {
      std::uint32_t position = order->last;
      if (position == 0 || position > order->count || !order.IsAt(position, key)) position = order.Find(key);
      if (position == 0) return Next::kUnknownKey;
      place = static_cast<lua_Integer>(order->items) + position;
    }
  }
  return PushBehind(state, table, order, place) != 0 ? Next::kEntry : Next::kEnd;
}

Place PushEntryBehind(lua_State* state, int table, Place place) {
  if (!PushOrder(state, table)) return PushItemBehind(state, table, place, PopListBound(state));
  const Order order(state, table);
  place = PushBehind(state, table, order, place);
  order.Leave(place != 0 ? 2 : 0);
  return place;
}

lua_Integer Border(lua_State* state, int table) {
  Record* record = RecordOf(state, table);
  if (record == nullptr) return static_cast<lua_Integer>(lua_rawlen(state, table));
  lua_Integer border = record->border;
  std::uint64_t steps = 0;
  const auto step = [&] {
    if (++steps % kFreeSteps == 0) Charge(state, kFreeSteps);
  };
  for (; border > 0 && !HasItem(state, table, border); --border) step();
  if (border == record->border) {
    for (; HasItem(state, table, border + 1); ++border) step();
  }
  record->border = static_cast<std::uint32_t>(border);
  return border;
}

}  // namespace corod::lua
