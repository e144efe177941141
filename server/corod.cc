// The server with the coroutines it comes with.

#include "server/catalog/catalog.h"
#include "server/server.h"

int main(int argc, char** argv) {
  corod::Catalog catalog;
  corod::AddBuiltinCoroutines(catalog);
  return corod::RunServer(argc, argv, catalog);
}
