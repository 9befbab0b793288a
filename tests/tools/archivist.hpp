// A user with three files and an archive.
#pragma once

#include <gtest/gtest.h>

#include "recorded_io.hpp"

namespace tools::testing {

struct Archivist : User {
    Archivist() {
        source.write("a.txt", "first");
        source.write("sub/b.txt", "second");
        source.write("sub/c.o", "third");
    }
    nlohmann::json backup(std::vector<std::string> more = {}) {
        std::vector<std::string> args{"archive", "backup", source.path(), "--json"};
        args.insert(args.end(), more.begin(), more.end());
        const auto outcome = (*this)(args);
        EXPECT_EQ(outcome.code, 0) << outcome.err;
        return outcome.lines().back();
    }
    Outcome restore(const std::string& what, std::vector<std::string> more = {}) {
        std::vector<std::string> args{"archive", "restore", what, "--target", target.path("out")};
        args.insert(args.end(), more.begin(), more.end());
        return (*this)(args);
    }
    /// All blocks of the store, the list of snapshots and its spare copy among them.
    void lose_segments() const {
        std::vector<std::filesystem::path> lost;
        for (const auto& entry : std::filesystem::recursive_directory_iterator{home.path()}) {
            const auto extension = entry.path().extension();
            if (extension == ".seg" || extension == ".idx") lost.push_back(entry.path());
        }
        ASSERT_FALSE(lost.empty());
        for (const auto& path : lost) std::filesystem::remove(path);
    }
    [[nodiscard]] std::string restored(const std::string& name) const { return "out" + source.path(name); }

    Scratch source;
    Scratch target;
};

}  // namespace tools::testing
