#ifndef COROD_CLIENT_CPP_EXPORT_STREAM_H_
#define COROD_CLIENT_CPP_EXPORT_STREAM_H_

#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "client/cpp/connection.h"
#include "client/cpp/read_call.h"
#include "corod/v1/coroutine_service.pb.h"

namespace corod::client {

// A session's log as a file, part by part, by the Export RPC.
//
// UNAVAILABLE is tried again as long as no part has come; afterwards it is final, and the parts are of no use.
//
// Thread safety: one thread calls Next, any may Cancel. Makes its first call in Next.
class ExportStream {
 public:
  ExportStream(std::shared_ptr<Connection> connection, std::string session_id);
  ExportStream(const ExportStream&) = delete;
  ExportStream& operator=(const ExportStream&) = delete;

  // The next part; waits for it. nullopt: the file is whole. A failure is final. Idempotency: reads.
  absl::StatusOr<std::optional<std::string>> Next();

  // Ends the stream soon: a Next that waits, and all that follow, return CANCELLED.
  void Cancel() { calls_.Cancel(); }
  bool cancelled() const { return calls_.cancelled(); }

 private:
  const std::shared_ptr<Connection> connection_;
  const std::string session_id_;
  Retry retry_;
  bool began_ = false;                  // a part has come
  std::optional<absl::Status> result_;  // set when the stream has ended
  ReadCalls<v1::ExportResponse> calls_;
};

// Writes the log of the session `session_id` to `sink`. After a failure `sink` holds a part of it; UNKNOWN if it is
// `sink` that failed. Idempotency: reads.
absl::Status Export(const std::shared_ptr<Connection>& connection, const std::string& session_id, std::ostream& sink);

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_EXPORT_STREAM_H_
