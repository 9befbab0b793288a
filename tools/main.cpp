// pelago: the one program for users.
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "cli/host_io.hpp"
#include "cli/run.hpp"

int main(int argc, char** argv) {
    try {
        const auto io = tools::host_io();
        const std::vector<std::string> args{argv + 1, argv + (argc > 0 ? argc : 1)};
        return tools::run(args, *io);
    } catch (const std::exception& error) {  // before there is anything to say it through
        std::fprintf(stderr, "pelago: cannot begin: %s\n", error.what());
        return 1;
    }
}
