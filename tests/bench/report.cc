#include "tests/bench/report.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_format.h"

namespace corod::bench {
namespace {

// With as many digits as say something.
std::string Shown(double value, const std::string& unit) {
  const double size = std::fabs(value);
  const int decimals = size >= 1'000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
  return absl::StrFormat("%.*f%s%s", decimals, value, unit.empty() ? "" : " ", unit);
}

const char* Sign(const Goal& goal) { return goal.is == Goal::Is::kAtLeast ? ">=" : "<="; }

const char* Verdict(const Figure& figure) { return !figure.goal ? "" : figure.passes() ? "pass" : "SHORT"; }

}  // namespace

double Quantile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(part * static_cast<double>(values.size()));
  return values[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

bool Figure::passes() const {
  return !goal || (goal->is == Goal::Is::kAtLeast ? value() >= goal->value : value() <= goal->value);
}

void Report::Add(Figure figure) { figures_.push_back(std::move(figure)); }
void Report::Note(const std::string& text) { notes_.push_back(text); }

std::string Report::Table() const {
  std::vector<std::vector<std::string>> rows = {{"what", "goal", "median", "min", "max", ""}};
  for (const Figure& figure : figures_) {
    const auto [low, high] = std::minmax_element(figure.rounds.begin(), figure.rounds.end());
    rows.push_back(
        {figure.what, figure.goal ? std::string(Sign(*figure.goal)) + " " + Shown(figure.goal->value, figure.unit) : "",
         Shown(figure.value(), figure.unit), Shown(*low, figure.unit), Shown(*high, figure.unit), Verdict(figure)});
  }
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      const bool right = i >= 1 && i <= 4;
      line += (i == 0 ? "" : "  ") + (right ? space + row[i] : row[i] + space);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  for (const std::string& note : notes_) text += "* " + note + "\n";
  return text;
}

std::string Report::Json(const std::map<std::string, std::string>& settings) const {
  nlohmann::ordered_json all;
  all["settings"] = settings;
  all["figures"] = nlohmann::ordered_json::array();
  for (const Figure& figure : figures_) {
    const auto [low, high] = std::minmax_element(figure.rounds.begin(), figure.rounds.end());
    nlohmann::ordered_json one;
    one["name"] = figure.name;
    one["what"] = figure.what;
    one["unit"] = figure.unit.empty() ? "ratio" : figure.unit;
    one["value"] = figure.value();
    one["median"] = Median(figure.rounds);
    one["min"] = *low;
    one["max"] = *high;
    one["rounds"] = figure.rounds;
    if (figure.goal) {
      one["goal"] = {{"is", Sign(*figure.goal)}, {"value", figure.goal->value}};
      one["verdict"] = figure.passes() ? "pass" : "short";
    }
    all["figures"].push_back(std::move(one));
  }
  all["notes"] = notes_;
  return all.dump(2) + "\n";
}

void TakeTurns(int rounds, const std::vector<Contestant*>& contestants) {
  for (Contestant* contestant : contestants) contestant->run();
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < contestants.size(); ++i) {
      Contestant& next = *contestants[(static_cast<std::size_t>(round) + i) % contestants.size()];
      next.rounds.push_back(next.run());
    }
  }
}

std::vector<double> Ratios(const Contestant& of, const Contestant& to) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < of.rounds.size(); ++i) ratios.push_back(of.rounds[i] / to.rounds[i]);
  return ratios;
}

}  // namespace corod::bench
