#ifndef COROD_SERVER_JOURNAL_VALID_BATCHES_H_
#define COROD_SERVER_JOURNAL_VALID_BATCHES_H_

#include "server/journal/record.h"

namespace corod {

// The one rule by which a log is read: a batch whose `previous` is not the last valid batch before it is void.
class ValidBatches {
 public:
  // `after`: the valid batch behind which reading begins; {}: before the first.
  explicit ValidBatches(BatchId after = {}) : last_(after) {}

  // Whether `batch`, the next one in the order of the log, is valid.
  bool Take(const Batch& batch) {
    if (batch.previous != last_ || batch.id.number <= last_.number) return false;
    last_ = batch.id;
    return true;
  }

  // The last valid one so far.
  BatchId last() const { return last_; }

 private:
  BatchId last_;
};

// The last step that a log holds whose last valid batch is `tail`.
inline Step LastStep(const Batch& tail) { return tail.first_step + tail.records.size() - 1; }

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_VALID_BATCHES_H_
