#include "cli/exit_code.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "cli/console.hpp"
#include "objstore/error.hpp"
#include "past/error.hpp"
#include "pastry/error.hpp"

namespace tools {
namespace {

TEST(ExitCodes, AreThoseThatScriptsKnow) {
    EXPECT_EQ(exit_code({}), ExitCode::done);
    EXPECT_EQ(exit_code(base::Errc::io_failed), ExitCode::fatal);
    EXPECT_EQ(exit_code(Errc::usage), ExitCode::usage);
    EXPECT_EQ(exit_code(past::Errc::corrupt_block), ExitCode::damage);
    EXPECT_EQ(exit_code(objstore::Errc::damaged), ExitCode::damage);
    EXPECT_EQ(exit_code(past::Errc::holders_unreachable), ExitCode::unreachable);
    EXPECT_EQ(exit_code(pastry::Errc::not_active), ExitCode::unreachable);
    EXPECT_EQ(exit_code(Errc::no_node), ExitCode::unreachable);
    EXPECT_EQ(exit_code(past::Errc::no_space), ExitCode::no_space);
    EXPECT_EQ(exit_code(objstore::Errc::no_such_volume), ExitCode::no_volume);
    EXPECT_EQ(exit_code(base::Errc::locked), ExitCode::busy);
    EXPECT_EQ(exit_code(past::Errc::conflict), ExitCode::busy);
    EXPECT_EQ(exit_code(base::Errc::wrong_key), ExitCode::wrong_key);
    EXPECT_EQ(exit_code(base::Errc::interrupted), ExitCode::interrupted);
}

TEST(ExitCodes, EveryErrorOfTheToolsHasTextAndCondition) {
    for (int value = 1; value <= static_cast<int>(Errc::other_node); ++value) {
        const std::error_code code{value, error_category()};
        EXPECT_NE(code.message(), "unknown error") << value;
        EXPECT_NE(code.default_error_condition().category(), error_category()) << value;
    }
}

TEST(ExitCodes, OfTwoTroublesTheGraverIsTheEnd) {
    EXPECT_EQ(worse(ExitCode::done, ExitCode::done), ExitCode::done);
    EXPECT_EQ(worse(ExitCode::done, ExitCode::partial), ExitCode::partial);
    EXPECT_EQ(worse(ExitCode::unreachable, ExitCode::partial), ExitCode::unreachable);
    EXPECT_EQ(worse(ExitCode::unreachable, ExitCode::damage), ExitCode::damage);
    EXPECT_EQ(worse(ExitCode::damage, ExitCode::fatal), ExitCode::damage);
}

TEST(Errors, AreOneLineWithTheRemedyLast) {
    EXPECT_EQ(describe(base::Error{base::Errc::locked, "cannot open the store /x"}),
              "cannot open the store /x: in use by another process; another pelago command is using it; try again when "
              "that has ended");
    EXPECT_EQ(describe(base::Errc::interrupted), "interrupted");
    EXPECT_EQ(describe(base::Error{base::Errc::interrupted, "cannot open it"}), "cannot open it: interrupted");
    EXPECT_EQ(describe(base::Error{base::Errc::interrupted, "interrupted: it goes on"}), "interrupted: it goes on");
    EXPECT_EQ(describe(base::Error{base::Errc::io_failed, "cannot read a\nb\x1b[2J"}),
              "cannot read a\\x0ab\\x1b[2J: input/output error");
}

}  // namespace
}  // namespace tools
