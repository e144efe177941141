#ifndef COROD_CLIENT_CLI_WAKEUP_H_
#define COROD_CLIENT_CLI_WAKEUP_H_

namespace corod::cli {

// Ends a poll() from another thread: a file descriptor that becomes readable, once and for all. Safe from many threads.
class Wakeup {
 public:
  Wakeup();
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  void Wake();
  // To be polled for reading.
  int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_WAKEUP_H_
