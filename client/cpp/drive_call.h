#ifndef COROD_CLIENT_CPP_DRIVE_CALL_H_
#define COROD_CLIENT_CPP_DRIVE_CALL_H_

#include "absl/status/status.h"
#include "corod/v1/coroutine_service.pb.h"

namespace corod::client {

// One call of the Drive RPC. One thread may write while another reads; all methods but Cancel block.
class DriveCall {
 public:
  virtual ~DriveCall() = default;
  // False: the call is broken, and Finish says why.
  virtual bool Write(const v1::DriveRequest& request) = 0;
  // No Write follows. False: the call is broken.
  virtual bool WritesDone() = 0;
  // False: nothing more will come.
  virtual bool Read(v1::DriveResponse* response) = 0;
  // How the call ended. REQUIRES: Read returned false; no Write is under way, and none follows.
  virtual absl::Status Finish() = 0;
  // Ends the call soon. Safe from any thread, as long as the object lives.
  virtual void Cancel() = 0;
};

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_DRIVE_CALL_H_
