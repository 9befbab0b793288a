// pelago: the one program for users.
#include <span>
#include <string>
#include <vector>

#include "cli/host_io.hpp"
#include "cli/run.hpp"

int main(int argc, char** argv) {
    const auto io = tools::host_io();
    const std::vector<std::string> args{argv + 1, argv + (argc > 0 ? argc : 1)};
    return tools::run(args, *io);
}
