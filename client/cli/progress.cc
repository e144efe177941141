#include "client/cli/progress.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace corod::cli {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(1);
constexpr absl::Duration kBetween = absl::Milliseconds(250);
constexpr std::string_view kEraseLine = "\r\x1b[K";

}  // namespace

Progress::Progress(bool shown, std::shared_ptr<const Clock> clock, Output& output)
    : shown_(shown), clock_(std::move(clock)), output_(output), begin_(clock_->Now()), next_(begin_ + kPatience) {}

Progress::~Progress() {
  if (drawn_) output_.Draw(kEraseLine);
}

void Progress::Update(std::uint64_t lines) {
  if (!shown_) return;
  const absl::Time now = clock_->Now();
  if (now < next_) return;
  next_ = now + kBetween;
  drawn_ = true;
  const double rate = static_cast<double>(lines) / absl::ToDoubleSeconds(now - begin_);
  output_.Draw(absl::StrFormat("%s%d lines, %.0f/s", std::string(kEraseLine), lines, rate));
}

}  // namespace corod::cli
