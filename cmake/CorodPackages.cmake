# The libraries we stand on; all are Debian 12 packages (see packages.txt).

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(absl REQUIRED)
find_package(gRPC REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(spdlog REQUIRED)
find_path(COROD_CLI11_INCLUDE CLI/CLI.hpp REQUIRED)
find_path(COROD_JSON_INCLUDE nlohmann/json.hpp REQUIRED)
find_program(COROD_GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
find_program(COROD_GRPC_PYTHON_PLUGIN grpc_python_plugin)
find_package(GTest)
