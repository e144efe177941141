#ifndef COROD_SERVER_COROUTINE_KEPT_H_
#define COROD_SERVER_COROUTINE_KEPT_H_

#include <concepts>
#include <cstddef>
#include <utility>

#include "server/coroutine/coroutine.h"
#include "server/coroutine/value.h"

namespace corod {

// What a restartable body may keep. Save gives all of it as a Value, in a form that every later build can read for as
// long as it has that version of the body; Load makes the same again, and raises (py::…) on a value that Save never
// gave.
template <typename S>
concept Keepable =
    std::default_initializable<S> && std::move_constructible<S> && requires(const S& state, const Value& saved) {
      { state.Save() } -> std::convertible_to<Value>;
      { S::Load(saved) } -> std::same_as<S>;
    };

// All that a restartable body must remember, as its first parameter:
//
//     struct Running {
//       double total = 0;
//       std::int64_t count = 0;
//
//       Value Save() const { return List{total, count}; }
//       static Running Load(const Value& saved) {
//         const List& fields = SavedFields(saved, 2);
//         return {fields[0].AsNumber(), fields[1].AsInteger()};
//       }
//     };
//
//     Coroutine Averager(Kept<Running> kept) {
//       while (true) {
//         Value sent = co_yield (kept->count ? Value(kept->total / kept->count) : Value());
//         kept->total += sent.AsNumber();
//         ++kept->count;
//       }
//     }
//
// A coroutine that is suspended at its own yield (Coroutine::Save says when) may be dropped. It is restarted by making
// it again with the same arguments and the state that was saved, and resuming it once with Next(): what that yields is
// thrown away, and from there on it answers every command as if it had never stopped. So, of a body:
//   - Whatever a later step depends on is in the state or follows from the arguments; other locals hold it for the
//     length of a step. An object may be both: the body sets in it, first of all, what follows from the arguments.
//   - Up to its first yield it neither changes the state nor asks for the step's time or random numbers: that part runs
//     again at every restart, and no step runs then.
//   - It waits for what is sent at one place, or the state says at which of several.
// CheckRestarts (server/catalog/restart_check.h) finds the body that does not keep to this.
//
// Lives in the coroutine's frame, so its address stays.
template <typename S>
class Kept {
  static_assert(Keepable<S>,
                "Kept<S>: S can be made without arguments and moved, and has `Value Save() const` and `static S "
                "Load(const Value&)`");

 public:
  // The state of a coroutine that begins.
  Kept() = default;
  explicit Kept(S state) : state_(std::move(state)) {}
  Kept(Kept&&) = default;
  Kept& operator=(Kept&&) = default;

  S& operator*() { return state_; }
  const S& operator*() const { return state_; }
  S* operator->() { return &state_; }
  const S* operator->() const { return &state_; }

 private:
  S state_{};
};

// For Load: the items of a list that holds `count` of them. Raises TypeError or ValueError if `saved` is none.
const List& SavedFields(const Value& saved, std::size_t count);

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_KEPT_H_
