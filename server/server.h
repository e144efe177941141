#ifndef COROD_SERVER_SERVER_H_
#define COROD_SERVER_SERVER_H_

#include "server/catalog/catalog.h"

namespace corod {

// corod as a whole: reads the flags, serves what is in `catalog`, and returns the exit status when SIGTERM or SIGINT
// has come and everything has been closed. Once per process.
int RunServer(int argc, const char* const* argv, const Catalog& catalog);

}  // namespace corod

#endif  // COROD_SERVER_SERVER_H_
