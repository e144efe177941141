#ifndef COROD_SERVER_JOURNAL_RUNS_H_
#define COROD_SERVER_JOURNAL_RUNS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/journal/varint.h"

// A run: batches of one session that follow each other, as RocksDB holds them under one key. Each has its length and
// its number before it.
namespace corod {

inline void AppendToRun(std::uint64_t number, std::string_view batch, std::string& run) {
  AppendVarint(batch.size(), run);
  AppendVarint(number, run);
  run.append(batch);
}

// Goes through a run. What it cannot make out any more is one batch that is damaged.
class RunReader {
 public:
  // `last`: the number of its last batch, as the key says. Before there were runs (version 1) a value was one batch, as
  // it is; it begins with the version of its frame, and no batch is as short as that.
  RunReader(std::string_view run, std::uint64_t last) : rest_(run), last_(last), bare_(run.starts_with('\1')) {}

  // False at the end.
  bool Next() {
    if (rest_.empty()) return false;
    std::uint64_t size = 0;
    std::string_view rest = rest_;
    const std::uint64_t before = number_;
    if (!bare_ && TakeVarint(rest, size) && TakeVarint(rest, number_) && size <= rest.size() && number_ > before &&
        number_ <= last_) {
      batch_ = rest.substr(0, static_cast<std::size_t>(size));
      rest_ = rest.substr(static_cast<std::size_t>(size));
    } else {
      number_ = last_;
      batch_ = bare_ ? rest_ : std::string_view();
      rest_ = {};
    }
    return true;
  }
  std::uint64_t number() const { return number_; }
  // Framed.
  std::string_view batch() const { return batch_; }

 private:
  std::string_view rest_;
  const std::uint64_t last_;
  const bool bare_;
  std::uint64_t number_ = 0;
  std::string_view batch_;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_RUNS_H_
