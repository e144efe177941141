#ifndef COROD_SERVER_LIMITS_FILE_H_
#define COROD_SERVER_LIMITS_FILE_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/session/account.h"

namespace corod {

// What the file of --limits says.
struct LimitsOfAll {
  std::map<std::string, NamespaceLimits, std::less<>> by_namespace;
  NamespaceLimits others;
};

// Reads lines of the form
//
//   NAMESPACE sessions=100000 commands=5000 streams=50 journal=10GiB memory=1GiB   # a comment
//
// in which every limit may be left out: there is none then. `commands` are those of a second. The namespace `*` stands
// for all that have no line of their own. `path`: for messages. INVALID_ARGUMENT, in one line, names the file and the
// line that will not do.
absl::StatusOr<LimitsOfAll> ParseLimits(std::string_view text, const std::string& path);

}  // namespace corod

#endif  // COROD_SERVER_LIMITS_FILE_H_
