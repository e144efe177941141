#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/catalog/builtin/builtin.h"
#include "server/catalog/builtin/exact_statistics.h"
#include "server/catalog/builtin/words.h"
#include "server/catalog/registration.h"
#include "server/coroutine/map.h"
#include "server/coroutine/text_form.h"

namespace corod::builtin {
namespace {

constexpr std::int64_t kMaxWindow = 1'000'000;

// A queue in one piece of memory, which grows as far as it is used.
template <typename T>
class Queue {
 public:
  bool empty() const { return first_ == items_.size(); }
  std::size_t size() const { return items_.size() - first_; }
  typename std::vector<T>::const_iterator begin() const { return items_.begin() + static_cast<std::ptrdiff_t>(first_); }
  typename std::vector<T>::const_iterator end() const { return items_.end(); }
  const T& front() const { return items_[first_]; }
  const T& back() const { return items_.back(); }
  void AddHeld(HeldMemory& held) const { held.AddBytes(items_.capacity() * sizeof(T)); }
  void push_back(T item) { items_.push_back(std::move(item)); }
  void pop_back() { items_.pop_back(); }
  void pop_front() {
    ++first_;
    if (2 * first_ < items_.size()) return;
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }

 private:
  std::vector<T> items_;
  std::size_t first_ = 0;
};

// The first of the least numbers in a window that only moves forward, by `Less`. Keeps those that may become it.
template <bool (*Less)(double, double)>
class Least {
 public:
  void Add(std::int64_t position, double number) {
    while (!candidates_.empty() && Less(number, candidates_.back().number)) candidates_.pop_back();
    candidates_.push_back({position, number});
  }
  void RemoveBefore(std::int64_t position) {
    while (candidates_.front().position < position) candidates_.pop_front();
  }
  double number() const { return candidates_.front().number; }
  void AddHeld(HeldMemory& held) const { candidates_.AddHeld(held); }

 private:
  struct Candidate {
    std::int64_t position;
    double number;
  };
  Queue<Candidate> candidates_;
};

bool IsLess(double a, double b) { return a < b; }
bool IsGreater(double a, double b) { return a > b; }

// Statistics of all numbers.
class Overall {
 public:
  void Add(double number) {
    least_ = statistics_.count() == 0 || number < least_ ? number : least_;
    greatest_ = statistics_.count() == 0 || number > greatest_ ? number : greatest_;
    statistics_.Add(number);
  }
  const ExactStatistics& statistics() const { return statistics_; }
  double min() const { return least_; }
  double max() const { return greatest_; }

  Value Save() const { return List{statistics_.Save(), least_, greatest_}; }
  static Overall Load(const Value& saved) {
    const List& fields = SavedFields(saved, 3);
    Overall overall;
    overall.statistics_ = ExactStatistics::Load(fields[0]);
    overall.least_ = fields[1].AsNumber();
    overall.greatest_ = fields[2].AsNumber();
    return overall;
  }

 private:
  ExactStatistics statistics_;
  double least_ = 0;
  double greatest_ = 0;
};

// Statistics of the last numbers.
class Window {
 public:
  // REQUIRES: before the first Add.
  void SetSize(std::int64_t size) { size_ = static_cast<std::size_t>(size); }

  void Add(double number) {
    numbers_.push_back(number);
    statistics_.Add(number);
    least_.Add(added_, number);
    greatest_.Add(added_, number);
    ++added_;
    if (numbers_.size() <= size_) return;
    statistics_.Remove(numbers_.front());
    numbers_.pop_front();
    const std::int64_t first = added_ - static_cast<std::int64_t>(size_);
    least_.RemoveBefore(first);
    greatest_.RemoveBefore(first);
  }
  const ExactStatistics& statistics() const { return statistics_; }
  double min() const { return least_.number(); }
  double max() const { return greatest_.number(); }

  void AddHeld(HeldMemory& held) const {
    numbers_.AddHeld(held);
    least_.AddHeld(held);
    greatest_.AddHeld(held);
  }

  // The numbers: all else follows from them.
  Value Save() const { return Value::Blob(ToBytes(numbers_)); }
  static Window Load(const Value& saved) {
    Window window;
    for (const double number : FromBytes<double>(saved.AsBlob())) {
      if (!std::isfinite(number)) throw py::ValueError("no state of a window");
      window.Add(number);
    }
    return window;
  }

 private:
  std::size_t size_ = kMaxWindow;
  Queue<double> numbers_;
  ExactStatistics statistics_;
  Least<&IsLess> least_;
  Least<&IsGreater> greatest_;
  std::int64_t added_ = 0;
};

double FiniteNumber(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kBoolean:
    case Value::Kind::kInteger:
    case Value::Kind::kNumber:
      break;
    default:
      throw py::TypeError("must be real number, not " + ClassNameOf(value));
  }
  const double number = value.AsNumber();
  if (!std::isfinite(number)) throw py::ValueError("number must be finite, not " + Repr(Value(number)));
  return number;
}

template <typename Numbers>
Value StatisticsOf(const Numbers& numbers) {
  const std::int64_t count = numbers.statistics().count();
  const ExactStatistics::Result result = numbers.statistics().Compute();
  return Map{{"count", count},
             {"mean", result.mean},
             {"variance", count > 1 ? Value(result.variance) : Value()},
             {"standard_deviation", count > 1 ? Value(result.standard_deviation) : Value()},
             {"min", numbers.min()},
             {"max", numbers.max()}};
}

template <typename Numbers>
Coroutine Statistics(Kept<Numbers> numbers) {
  Value statistics;
  while (true) {
    Value sent = co_yield statistics;
    numbers->Add(FiniteNumber(sent));
    statistics = StatisticsOf(*numbers);
  }
}

// What a coroutine of either kind kept. Which kind it is, its argument says.
struct SavedNumbers {
  std::optional<Value> saved;

  Value Save() const { return saved.value_or(Value()); }
  static SavedNumbers Load(const Value& saved) { return {saved}; }

  template <typename Numbers>
  Numbers As() const {
    return saved ? Numbers::Load(*saved) : Numbers();
  }
};

Coroutine RollingStats(Kept<SavedNumbers> kept, std::int64_t window) {
  if (window == 0) return Statistics(Kept(kept->As<Overall>()));
  auto numbers = kept->As<Window>();
  numbers.SetSize(window);
  return Statistics(Kept(std::move(numbers)));
}

constexpr const char* kDocumentation = R"(
Answers every number with the statistics of the last `window` numbers, or of all if `window` is 0:

| key | value |
|---|---|
| `count` | integer: how many numbers these are |
| `mean` | number |
| `variance` | number: of a sample, divided by `count - 1`; null for one number |
| `standard_deviation` | number: the variance's square root; null for one number |
| `min`, `max` | number |

Mean, variance and standard deviation are exact values that are rounded once: those of Python's `statistics.mean`,
`statistics.variance` and `statistics.stdev`, to the last bit. It does not matter how large the numbers are beside
their differences, or how many have left the window. A variance too large for a double is infinite.

Integers and booleans count as numbers. What is no number raises TypeError; NaN and the infinities raise ValueError,
as no later statistics could be told from them.

```example
create {"window": 2}
next                -> yields null
send 1000000000.5   -> yields {"count": 1, "mean": 1000000000.5, "variance": null, "standard_deviation": null,
                               "min": 1000000000.5, "max": 1000000000.5}
send 1000000001.5   -> yields {"count": 2, "mean": 1000000001.0, "variance": 0.5,
                               "standard_deviation": 0.7071067811865476, "min": 1000000000.5, "max": 1000000001.5}
send 1000000003.5   -> yields {"count": 2, "mean": 1000000002.5, "variance": 2.0,
                               "standard_deviation": 1.4142135623730951, "min": 1000000001.5, "max": 1000000003.5}
close               -> returns null
```
)";

}  // namespace

void AddRollingStats(Catalog& catalog) {
  catalog.Add(Native("rolling_stats", 1, &RollingStats)
                  .Takes("window", "how many of the last numbers count; 0: all", Optional(0), Between(0, kMaxWindow))
                  .Summary("mean, variance, minimum and maximum of the last numbers")
                  .Sends("number", SendsKind::kNumber)
                  .Yields("map: count, mean, variance, standard_deviation, min, max; null before the first number")
                  .Returns("null")
                  .StopsWhen("the caller closes it, or what it is sent is no finite number")
                  .NeverBlocks()
                  .Document(kDocumentation));
}

}  // namespace corod::builtin
