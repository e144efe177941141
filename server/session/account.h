#ifndef COROD_SERVER_SESSION_ACCOUNT_H_
#define COROD_SERVER_SESSION_ACCOUNT_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "server/base/mutex.h"

namespace corod {

// What one namespace has. Lives as long as the server. Thread-safe.
class Account {
 public:
  explicit Account(std::string name_space) : name_space_(std::move(name_space)) {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  const std::string& name_space() const { return name_space_; }

 private:
  const std::string name_space_;
};

// One for each namespace that is used. Thread-safe.
class Accounts {
 public:
  // That of the namespace, made if need be.
  Account& Of(std::string_view name_space);

 private:
  Mutex mutex_;
  std::map<std::string, std::unique_ptr<Account>, std::less<>> accounts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_ACCOUNT_H_
