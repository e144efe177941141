#include "server/session/account.h"

namespace corod {

Account& Accounts::Of(std::string_view name_space) {
  const MutexLock lock(mutex_);
  const auto found = accounts_.find(name_space);
  if (found != accounts_.end()) return *found->second;
  return *accounts_.emplace(name_space, std::make_unique<Account>(std::string(name_space))).first->second;
}

}  // namespace corod
