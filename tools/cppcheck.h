/*
 * cppcheck.h
 *		What of the server's headers cppcheck has to know to read src/*.c; tools/lint gives it to it.
 *
 * With the headers themselves a file takes it a second and more, and without any of this it stops at the #error of
 * compat.h and says nothing.
 */
#define PG_VERSION_NUM 150000
#define PG_FUNCTION_INFO_V1(name) extern int finfo_##name
#define CppAsString(identifier) #identifier
#define CppAsString2(value) CppAsString(value)
#define foreach(cell, list) for (cell = list_head(list); cell != NULL; cell = lnext(list, cell))
#define PG_TRY() {
#define PG_FINALLY() } {
#define PG_CATCH() } if (caught()) {
#define PG_END_TRY() }
