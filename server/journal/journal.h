#ifndef COROD_SERVER_JOURNAL_JOURNAL_H_
#define COROD_SERVER_JOURNAL_JOURNAL_H_

namespace corod {

// Where the logs of durable sessions are kept. Safe from many threads.
class Journal {
 public:
  virtual ~Journal() = default;
  // Whether what it keeps survives a restart. A session that is asked to be durable is refused where it does not.
  virtual bool IsDurable() const = 0;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_JOURNAL_H_
