// A plugin for clang-tidy: the checks look at what server/ and client/ declare, not at the bodies of the libraries'
// headers, which are most of what a file is made of and about which clang-tidy says nothing anyway. Loaded by .ci/lint.
#include <clang-tidy/ClangTidyCheck.h>
#include <clang-tidy/ClangTidyModule.h>
#include <clang-tidy/ClangTidyModuleRegistry.h>
#include <clang/AST/ASTContext.h>
#include <clang/ASTMatchers/ASTMatchFinder.h>
#include <clang/ASTMatchers/ASTMatchers.h>
#include <llvm/ADT/StringSet.h>

#include <vector>

namespace corod {
namespace {

using namespace clang::ast_matchers;

// Matches nothing that a check is about.
const internal::VariadicDynCastAllOfMatcher<clang::Decl, clang::ExternCContextDecl> Mark;

class OwnCode : public clang::tidy::ClangTidyCheck {
 public:
  using ClangTidyCheck::ClangTidyCheck;

  void registerMatchers(MatchFinder* finder) override {
    finder_ = finder;
    finder->addMatcher(translationUnitDecl().bind("unit"), this);
    finder->addMatcher(Mark(), this);
  }

  // Of a file the unit is met first. What is visited below it can still be said then: the mark, then what is ours. It
  // is read at once, so that at the mark it can be all again, for checks which ask where a library's declaration
  // stands.
  void check(const MatchFinder::MatchResult& found) override {
    clang::ASTContext& context = *found.Context;
    clang::TranslationUnitDecl* unit = context.getTranslationUnitDecl();
    if (found.Nodes.getNodeAs<clang::TranslationUnitDecl>("unit")) {
      std::vector<clang::Decl*> visited{context.getExternCContextDecl()};
      for (clang::Decl* decl : unit->decls())
        if (IsOwn(*decl)) visited.push_back(decl);
      context.setTraversalScope(visited);
    } else {
      context.setTraversalScope({unit});
      names_.clear();
      NameRecords(*unit);
      ShowNamesakes(context, *unit);
    }
  }

 private:
  static bool IsOwn(const clang::Decl& decl) {
    const clang::SourceManager& sources = decl.getASTContext().getSourceManager();
    return !sources.isInSystemHeader(sources.getExpansionLoc(decl.getLocation()));
  }

  // bugprone-forward-declaration-namespace compares our classes with the libraries' classes of the same name.
  void NameRecords(const clang::DeclContext& scope) {
    for (const clang::Decl* decl : scope.decls()) {
      if (auto* record = llvm::dyn_cast<clang::CXXRecordDecl>(decl); record && IsOwn(*record))
        names_.insert(record->getName());
      else if (llvm::isa<clang::NamespaceDecl, clang::LinkageSpecDecl>(decl))
        NameRecords(*llvm::cast<clang::DeclContext>(decl));
    }
  }
  void ShowNamesakes(clang::ASTContext& context, const clang::DeclContext& scope) {
    for (const clang::Decl* decl : scope.decls()) {
      if (auto* record = llvm::dyn_cast<clang::CXXRecordDecl>(decl)) {
        if (!IsOwn(*record) && names_.contains(record->getName())) finder_->match(*record, context);
      } else if (llvm::isa<clang::NamespaceDecl, clang::LinkageSpecDecl>(decl)) {
        ShowNamesakes(context, *llvm::cast<clang::DeclContext>(decl));
      }
    }
  }

  MatchFinder* finder_ = nullptr;
  llvm::StringSet<> names_;
};

class Module : public clang::tidy::ClangTidyModule {
 public:
  void addCheckFactories(clang::tidy::ClangTidyCheckFactories& factories) override {
    factories.registerCheck<OwnCode>("corod-own-code");
  }
};

const clang::tidy::ClangTidyModuleRegistry::Add<Module> kModule("corod", "what the other checks look at");

}  // namespace
}  // namespace corod
