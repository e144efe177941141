#ifndef COROD_TESTS_BENCH_REPORT_H_
#define COROD_TESTS_BENCH_REPORT_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace corod::bench {

double Median(std::vector<double> values);
// The value that a share of `part` (0.99) of them does not exceed. REQUIRES: there are some.
double Quantile(std::vector<double> values, double part);

struct Goal {
  enum class Is { kAtLeast, kAtMost } is;
  double value;
};

// One thing that was measured, a value for each round.
struct Figure {
  std::string name;  // in JSON
  std::string what;  // in the table
  std::string unit;  // empty: a ratio
  std::vector<double> rounds;
  std::optional<Goal> goal = {};
  // What is held against the goal; unset: the median of the rounds.
  std::optional<double> overall = {};

  double value() const { return overall ? *overall : Median(rounds); }
  // Whether the goal is met; true without one.
  bool passes() const;
};

// What a run found.
class Report {
 public:
  void Add(Figure figure);
  // Something that one has to know about a figure, for the table and the JSON.
  void Note(const std::string& text);

  // For people: what, goal, median, lowest, highest, pass or short.
  std::string Table() const;
  // For programs; `settings`: how the run was asked for.
  std::string Json(const std::map<std::string, std::string>& settings) const;

 private:
  std::vector<Figure> figures_;
  std::vector<std::string> notes_;
};

// Something that is compared: how much it does a second, measured once.
struct Contestant {
  std::string name;  // in JSON
  std::string what;  // in the table
  std::function<double()> run;
  std::vector<double> rounds = {};
};
// Lets all take turns, round after round, so that what disturbs the machine disturbs all alike. Each begins as often as
// the others. They have run once before, unmeasured.
void TakeTurns(int rounds, const std::vector<Contestant*>& contestants);
// What `of` did as a part of what `to` did in the same round.
std::vector<double> Ratios(const Contestant& of, const Contestant& to);

}  // namespace corod::bench

#endif  // COROD_TESTS_BENCH_REPORT_H_
