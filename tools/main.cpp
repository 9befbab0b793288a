// pelago: the one program for users. Called as mount.pelago it is the helper of mount(8).
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/console.hpp"
#include "cli/host_io.hpp"
#include "cli/run.hpp"
#include "mount/options.hpp"

namespace {

int run_mount_helper(const std::vector<std::string>& args, tools::Io& io) {
    const auto words = tools::words_of_mount_helper(args);
    if (words) return words->empty() ? 0 : tools::run(*words, io);
    tools::Console console{io, {}};
    return static_cast<int>(console.fail(words.error()));
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const auto io = tools::host_io();
        const std::vector<std::string> args{argv + 1, argv + (argc > 0 ? argc : 1)};
        const std::string_view self{argc > 0 ? argv[0] : ""};
        if (self == "mount.pelago" || self.ends_with("/mount.pelago")) return run_mount_helper(args, *io);
        return tools::run(args, *io);
    } catch (const std::exception& error) {  // before there is anything to say it through
        std::fprintf(stderr, "pelago: cannot begin: %s\n", error.what());
        return 1;
    }
}
