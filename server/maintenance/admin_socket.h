#ifndef COROD_SERVER_MAINTENANCE_ADMIN_SOCKET_H_
#define COROD_SERVER_MAINTENANCE_ADMIN_SOCKET_H_

#include <functional>
#include <string>

#include "absl/status/status.h"

namespace corod::maintenance {

// Where the server of that data directory listens for its owner.
std::string AdminSocketPath(const std::string& data_dir);
// Whether the system allows a socket of that path. A status says, in one line, how long it may be.
absl::Status CheckSocketPath(const std::string& path);

// The socket, for the server, which has the data directory for itself.
class AdminSocket {
 public:
  // Removes what is left of a server that ended. If there can be no socket, a warning in the log says why.
  explicit AdminSocket(const std::string& data_dir);
  // Removes it.
  ~AdminSocket();
  AdminSocket(const AdminSocket&) = delete;
  AdminSocket& operator=(const AdminSocket&) = delete;

  // As gRPC listens on it; empty: there is none.
  std::string address() const { return path_.empty() ? std::string() : "unix:" + path_; }

  // Calls `listen`, in which the socket is made: nobody but the owner may connect. Other threads make files as private
  // meanwhile.
  static void ForTheOwnerAlone(const std::function<void()>& listen);

 private:
  std::string path_;
};

}  // namespace corod::maintenance

#endif  // COROD_SERVER_MAINTENANCE_ADMIN_SOCKET_H_
