#include "cli/host_io.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace tools {
namespace {

// In a process of its own, which has no standard streams.
[[noreturn]] void open_a_file_and_speak() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(fd);
    const auto io = host_io();
    const int file = ::open("/dev/zero", O_RDWR);
    io->out("a result");
    const bool said = io->finish().has_value();
    const bool heard = io->read_input(100).has_value();
    ::_exit(file > STDERR_FILENO && said && !heard ? 0 : 1);
}

TEST(HostIo, NoFileTakesThePlaceOfAStandardStreamThatWasClosed) {
    EXPECT_EXIT(open_a_file_and_speak(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tools
