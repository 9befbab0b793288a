#include "objstore/archive/patterns.hpp"

#include <gtest/gtest.h>

#include "objstore/archive/scanner.hpp"

namespace objstore::archive {
namespace {

bool matches(std::string_view pattern, std::string_view path, bool directory = false, bool ignore_case = false) {
    Patterns patterns;
    patterns.add(pattern, ignore_case).value();
    const auto names = split(path);
    return patterns.matches(names, directory);
}

TEST(Patterns, WithoutALeadingSlashTheyMatchAtAnyDepth) {
    EXPECT_TRUE(matches("*.o", "/home/ann/x.o"));
    EXPECT_TRUE(matches("*.o", "/x.o"));
    EXPECT_FALSE(matches("*.o", "/home/ann/x.obj"));
    EXPECT_TRUE(matches("build/tmp", "/home/ann/build/tmp"));
    EXPECT_FALSE(matches("build/tmp", "/home/ann/build/x/tmp"));
    EXPECT_FALSE(matches("build", "/home/rebuild"));
}

TEST(Patterns, AQuestionMarkAndASetStandForOneCharacter) {
    EXPECT_TRUE(matches("?", "/\xC3\xA9")) << "é";
    EXPECT_TRUE(matches("?", "/\xE2\x82\xAC"));
    EXPECT_TRUE(matches("?", "/\xF0\x9F\x8C\x8A"));
    EXPECT_FALSE(matches("??", "/\xC3\xA9"));
    EXPECT_FALSE(matches("*??", "/\xE2\x82\xAC")) << "a star ends where a character does";
    EXPECT_TRUE(matches("a?c",
                        "/a\xC3\xA9"
                        "c"));
    EXPECT_TRUE(matches("[!a]", "/\xC3\xA9"));
    EXPECT_TRUE(matches("[\xC3\xA0-\xC3\xBF]", "/\xC3\xA9")) << "[à-ÿ]";
    EXPECT_FALSE(matches("[\xC3\xA0-\xC3\xA2]", "/\xC3\xA9"));
    EXPECT_TRUE(matches("\xC3\xA9*", "/\xC3\xA9t\xC3\xA9"));
}

TEST(Patterns, WhatIsNotUtf8IsBytes) {
    EXPECT_TRUE(matches("?", "/\xE9"));
    EXPECT_TRUE(matches("??", "/\xC3\x28"));
    EXPECT_TRUE(matches("???", "/\xED\xA0\x80")) << "a surrogate is no character";
    EXPECT_TRUE(matches("??", "/\xC0\x80"));
    EXPECT_TRUE(matches("\xE9", "/\xE9"));
    EXPECT_FALSE(matches("\xC3\xA9", "/\xE9")) << "a byte is unlike the character of that number";
    EXPECT_FALSE(matches("[\xC3\xA9]", "/\xE9"));
    EXPECT_TRUE(matches("?", "/\xC3")) << "cut off";
}

TEST(Patterns, AByteOrderMarkIsNoPartOfTheFirstLine) {
    Patterns patterns;
    patterns.add_lines("\xEF\xBB\xBF*.o\n*.tmp\n").value();
    EXPECT_TRUE(patterns.matches(split("/a/x.o"), false));
    EXPECT_TRUE(patterns.matches(split("/a/x.tmp"), false));
}

TEST(Patterns, WithOneTheyAreAnchored) {
    EXPECT_TRUE(matches("/home/*/.cache", "/home/ann/.cache"));
    EXPECT_FALSE(matches("/home/*/.cache", "/srv/home/ann/.cache"));
    EXPECT_FALSE(matches("/home/*/.cache", "/home/ann/deep/.cache"));
}

TEST(Patterns, TwoStarsStandForAnyNumberOfDirectories) {
    EXPECT_TRUE(matches("/home/**/x", "/home/x"));
    EXPECT_TRUE(matches("/home/**/x", "/home/a/b/c/x"));
    EXPECT_TRUE(matches("/home/**", "/home/a/b"));
    EXPECT_FALSE(matches("/home/**/x/y", "/home/a/x/z/y"));
    EXPECT_TRUE(matches("a/**/b/**/c", "/1/a/2/b/3/b/4/c"));
}

TEST(Patterns, SetsQuestionMarksAndEscapesStayWithinAName) {
    EXPECT_TRUE(matches("?[a-c][!x-z]", "/qbm"));
    EXPECT_FALSE(matches("?[a-c][!x-z]", "/qbx"));
    EXPECT_FALSE(matches("a?c", "/a/c"));
    EXPECT_TRUE(matches("[]]", "/]"));
    EXPECT_TRUE(matches("[a\\]]", "/]"));
    EXPECT_TRUE(matches("\\*", "/*"));
    EXPECT_FALSE(matches("\\*", "/x"));
    EXPECT_TRUE(matches("*a*a*a*", "/baaab"));
    EXPECT_TRUE(matches("\xff*", "/\xff\xfe"));
}

TEST(Patterns, ATrailingSlashMeansDirectoriesOnly) {
    EXPECT_TRUE(matches("tmp/", "/a/tmp", true));
    EXPECT_FALSE(matches("tmp/", "/a/tmp", false));
}

TEST(Patterns, CaseIsIgnoredWhereAsked) {
    EXPECT_FALSE(matches("*.JPG", "/a.jpg"));
    EXPECT_TRUE(matches("*.JPG", "/a.jpg", false, true));
    EXPECT_TRUE(matches("[A-C]x", "/bX", false, true));
}

TEST(Patterns, ALaterExclamationMarkTakesBack) {
    Patterns patterns;
    patterns.add_lines("# a comment\n\n  *.log  \n!keep.log\r\n\\!odd\n\\#odd").value();
    const auto matched = [&](std::string_view path) { return patterns.matches(split(path), false); };
    EXPECT_TRUE(matched("/a.log"));
    EXPECT_FALSE(matched("/keep.log"));
    EXPECT_TRUE(matched("/!odd"));
    EXPECT_TRUE(matched("/#odd"));
}

TEST(Patterns, WhatCanMatchNothingIsRefused) {
    Patterns patterns;
    EXPECT_EQ(patterns.add("").error(), base::Errc::bad_argument);
    EXPECT_EQ(patterns.add("a/../b").error(), base::Errc::bad_argument);
    EXPECT_EQ(patterns.add("[a-").error(), base::Errc::bad_argument);
    EXPECT_EQ(patterns.add("a\\").error(), base::Errc::bad_argument);
    EXPECT_EQ(patterns.add_lines("ok\n[").error(), base::Errc::bad_argument);
    EXPECT_EQ(patterns.add(std::string(5000, 'x')).error(), base::Errc::bad_argument);
}

TEST(Patterns, SayWhereItIsWorthLooking) {
    Patterns patterns;
    patterns.add("/home/ann/docs").value();
    EXPECT_TRUE(patterns.may_match_below(split("/")));
    EXPECT_TRUE(patterns.may_match_below(split("/home/ann")));
    EXPECT_FALSE(patterns.may_match_below(split("/home/bob")));
    EXPECT_FALSE(patterns.may_match_below(split("/home/ann/docs")));
    patterns.add("*.txt").value();
    EXPECT_TRUE(patterns.may_match_below(split("/home/bob")));
}

TEST(Patterns, ManyStarsDoNotTakeForever) {
    std::string pattern;
    std::string name;
    for (int i = 0; i < 100; ++i) pattern += "a*";
    for (int i = 0; i < 250; ++i) name += 'a';
    EXPECT_FALSE(glob_matches(pattern + "b", name, false));
}

}  // namespace
}  // namespace objstore::archive
