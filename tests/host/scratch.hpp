// A directory of this test's own, removed at its end.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace host_test {

class Scratch {
  public:
    Scratch() {
        std::string name = ::testing::TempDir() + "pelago-host-XXXXXX";
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        root_ = name;
        std::filesystem::permissions(root_, std::filesystem::perms{0755});
    }
    ~Scratch() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    [[nodiscard]] const std::string& root() const { return root_; }
    [[nodiscard]] std::string path(const std::string& name) const { return root_ + "/" + name; }
    void write(const std::string& name, std::string_view text) const { std::ofstream{path(name)} << text; }
    [[nodiscard]] std::string read(const std::string& name) const {
        std::ifstream in{path(name)};
        return {std::istreambuf_iterator<char>{in}, {}};
    }

  private:
    std::string root_;
};

}  // namespace host_test
