#ifndef COROD_CLIENT_CPP_CLIENT_H_
#define COROD_CLIENT_CPP_CLIENT_H_

#include <cstdint>
#include <istream>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cpp/connection.h"
#include "client/cpp/remote_coroutine.h"
#include "server/coroutine/map.h"
#include "server/coroutine/outcome.h"

namespace corod::client {

// As v1::CreateRequest.
struct CreateOptions {
  std::string coroutine = {};
  Map arguments = {};
  // Empty: the server makes one.
  std::string session_id = {};
  // Also run it to its first yield.
  bool prime = false;
  // Unset: the server's default. Zero: never.
  std::optional<absl::Duration> idle_timeout = {};
  v1::Durability durability = v1::DURABILITY_UNSPECIFIED;
  v1::IfExists if_exists = v1::IF_EXISTS_UNSPECIFIED;
  std::map<std::string, std::string> labels = {};
  // 0: the newest.
  std::uint32_t version = 0;
  // When to close it whatever happens.
  std::optional<absl::Time> expire_time = {};
  // Empty: a random one, if the connection's request ids are automatic.
  std::string request_id = {};
};

struct Created {
  RemoteCoroutine coroutine;
  // When it was primed.
  std::optional<Outcome> outcome = {};
  // v1::IF_EXISTS_RETURN found it.
  bool existed = false;
};

// As v1::ForkRequest.
struct ForkOptions {
  std::string session_id = {};
  // Unset: as it stands. 0: as created.
  std::optional<std::uint64_t> at_step = {};
  // Empty: the server makes one.
  std::string new_session_id = {};
  // Of the new session.
  std::map<std::string, std::string> labels = {};
  // Empty: a random one, if the connection's request ids are automatic.
  std::string request_id = {};
};

// As v1::DefineCoroutineRequest.
struct DefineOptions {
  std::string name = {};
  // Lua.
  std::string source = {};
  // Markdown. Empty: what the source says.
  std::string documentation = {};
};

// Where coroutines are created and found.
//
//     absl::StatusOr<Client> client = Client::Connect("127.0.0.1:7117");
//     absl::StatusOr<Created> mean = client->Create({.coroutine = "averager", .prime = true});
//     absl::StatusOr<Outcome> outcome = mean->coroutine.Send(20);
//
// A handle: copies share one Connection. Safe from many threads.
class Client {
 public:
  // A client of the server at `address` (host:port). Connects with the first call. INVALID_ARGUMENT for wrong options
  // and for files that cannot be used.
  static absl::StatusOr<Client> Connect(const std::string& address, const ConnectionOptions& options = {});
  explicit Client(std::shared_ptr<Connection> connection);

  // Idempotency: safe to repeat; happens once while the connection's request ids are automatic.
  absl::StatusOr<Created> Create(const CreateOptions& options);

  // A coroutine of its own that stands where another one stood at a step. HISTORY_TRIMMED if the step is not kept.
  // Idempotency: safe to repeat; happens once while the connection's request ids are automatic.
  absl::StatusOr<RemoteCoroutine> Fork(const ForkOptions& options);

  // The session as it stood after `step`; 0: as created. Idempotency: reads.
  absl::StatusOr<v1::Session> GetAt(const std::string& session_id, std::uint64_t step);

  // A session from the file that Export (export_stream.h) wrote; `session_id`: its id, empty: the exported one's.
  // UNKNOWN if `file` cannot be read. Idempotency: as Connection::Import.
  absl::StatusOr<RemoteCoroutine> Import(std::istream& file, const std::string& session_id = "");

  // Puts a coroutine of one's own into the catalog; as it is there then, with its version. INVALID_SOURCE with what is
  // wrong with the source. Idempotency: safe to repeat: the newest version's source again is that version.
  absl::StatusOr<v1::Coroutine> Define(const DefineOptions& options);
  // Takes it out of the catalog; sessions that run it go on. Idempotency: as Connection::DeleteCoroutine.
  absl::Status Remove(const std::string& name);

  // The coroutine of a session that is there already; its calls say SESSION_NOT_FOUND if it is not. Makes no call.
  RemoteCoroutine Attach(std::string session_id) const;

  // The calls that have no place in RemoteCoroutine, and the fields that its methods leave out.
  const std::shared_ptr<Connection>& connection() const { return connection_; }

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_CLIENT_H_
