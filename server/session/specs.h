#ifndef COROD_SERVER_SESSION_SPECS_H_
#define COROD_SERVER_SESSION_SPECS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "server/catalog/namespaces.h"
#include "server/coroutine/map.h"
#include "server/coroutine/outcome.h"
#include "server/coroutine/value.h"
#include "server/journal/record.h"

namespace corod {

enum class Durability : std::uint8_t { kDefault, kEphemeral, kDurable };
enum class IfExists : std::uint8_t { kFail, kReturn, kReplaceFinished };

// On whose behalf a session is made.
struct Owner {
  std::string name_space{kDefaultNamespace};
  std::string identity;  // empty: nobody in particular
};

// What is asked of Create. Ids of sessions are qualified, here and in all that follows (catalog/namespaces.h).
struct CreateSpec {
  Owner owner;
  std::string coroutine;
  std::uint32_t version = 0;  // 0: the newest
  Map arguments;
  std::string session_id;  // empty: made here
  bool prime = false;
  std::optional<absl::Duration> idle_timeout;  // unset: the server's default; zero: never
  absl::Time expire_time = absl::InfiniteFuture();
  Durability durability = Durability::kDefault;
  IfExists if_exists = IfExists::kFail;
  Labels labels;
  std::string request_id;
  absl::Time deadline = absl::InfiniteFuture();
  bool bounded_by_sender = false;  // as Command's
};

// What is asked of Fork.
struct ForkSpec {
  Owner owner;
  std::string session_id;
  std::optional<Step> at_step;  // unset: as it stands
  std::string new_session_id;   // in the same namespace; empty: made here
  Labels labels;
  std::string request_id;
};

// Which sessions List shows.
struct ListQuery {
  std::string name_space{kDefaultNamespace};
  std::string page_token;
  std::string coroutine;                // empty: any
  std::optional<CoroutineState> state;  // unset: any
  Labels labels;                        // all of these
  bool has_problem = false;
  std::size_t page_size = 100;  // how many are likely to be taken: about so many are read
};

// What tells one request from another: equal ones have the same number. Without ids that the server may have made.
std::uint64_t FingerprintOf(const CreateSpec& spec);
std::uint64_t FingerprintOf(const ForkSpec& spec);
std::uint64_t FingerprintOf(const ListQuery& query);

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SPECS_H_
